import { NOTIFICATION_TYPES, type NotificationType } from '@tidings/shared/status-event'
import { type Command, Option } from 'commander'
import type { CliContext } from '../../context.ts'

export function registerStatus(program: Command, context: CliContext): void {
  program
    .command('status')
    .description('Show the status of a notification and its timeline. A notification is its id and its type.')
    .argument('<notification_id>')
    .option(
      '--explain',
      'also show the rule and the event that decided, and the dead letters of this notification',
    )
    .addOption(new Option('--type <type>', 'only the notification of this type').choices(NOTIFICATION_TYPES))
    .action(async (id: string, { explain = false, type }: { explain?: boolean; type?: NotificationType }) => {
      const { showStatus } = await import('./show-status.ts')
      await showStatus(context, id, { explain, type })
    })
    .addHelpText(
      'after',
      '\nExamples:\n  tidings status notif-123\n  tidings status notif-123 --type push --explain',
    )
}
