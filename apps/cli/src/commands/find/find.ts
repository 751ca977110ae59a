import type { Command } from 'commander'
import type { CliContext } from '../../context.ts'
import { parseText } from '../../input/parse-option.ts'

export function registerFind(program: Command, context: CliContext): void {
  program
    .command('find')
    .description('Show what happened to a notification, an event, a user, an address, a push token.')
    .argument('<anything>', 'an id, an e-mail address or a push token, whole', parseText)
    .action(async (given: string) => {
      const { findAnything } = await import('./find-anything.ts')
      await findAnything(context, given)
    })
    .addHelpText(
      'after',
      `
It takes the id of an event, a notification, a user, a provider's message or a
dead letter, an e-mail address or a push token, and shows everything that has
it: the user and their last events, the suppressions, the timelines of
notifications, the events of the recipient, the dead letters. Of a notification
it shows the user and the suppressions of the recipient as well. Events are
searched for the digest of an address or a token, which needs the RECIPIENT_KEY
of the API.

-o json prints one object: {"users", "suppressions", "notifications",
"recipient_events", "dead_letters", "more"}, all arrays; "more" names those cut
short.

Exit code 3: nothing is known of it.

Examples:
  tidings find notif-123
  tidings find ada@example.com --show-sensitive
  tidings find 0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee -o json`,
    )
}
