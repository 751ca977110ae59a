import { SCOPES } from '@tidings/shared/service-key'
import { type Command, Option } from 'commander'
import type { CliContext } from '../../context.ts'
import { parseCount } from '../../input/parse-option.ts'
import type { CreateKeyOptions } from './create.ts'

const parseEvents = parseCount(1, 1_000_000)

/** The commands import their code on first use: loading the query builder takes longer than most commands. */
export function registerServiceKeys(program: Command, context: CliContext): void {
  const keys = program.command('service-keys').description('Credentials of services and operators.')
  keys
    .command('create')
    .description('Make a key. It is shown once; only its digest is stored.')
    .argument('<name>', 'becomes the source of every event reported with the key')
    .addOption(
      new Option('--scope <scope...>', 'what the key may do; give several, or repeat it')
        .choices(SCOPES)
        .makeOptionMandatory(),
    )
    .option('--events-per-second <n>', 'how many events it may report to each API process', parseEvents)
    .option(
      '--burst <n>',
      'how many events at once after a pause; default: as many as in a second',
      parseEvents,
    )
    .action(async (name: string, options: CreateKeyOptions) => {
      const { createKey } = await import('./create.ts')
      await createKey(context, name, options)
    })
    .addHelpText(
      'after',
      `
Examples:
  tidings service-keys create email-service --scope status:write:email
  tidings service-keys create push-service --scope status:write:push --events-per-second 500 --burst 2000
  tidings service-keys create ops --scope dlq:read dlq:write -o json | jq -r .key`,
    )
  keys
    .command('list')
    .description('List keys, live and revoked, oldest first.')
    .action(async () => {
      const { listKeys } = await import('./list.ts')
      await listKeys(context)
    })
    .addHelpText('after', '\nExamples:\n  tidings service-keys list\n  tidings service-keys list -o json')
  keys
    .command('revoke')
    .description('End a key. Running APIs refuse it within 30 seconds.')
    .argument('<id>', 'as shown by service-keys list')
    .action(async (id: string) => {
      const { revokeKey } = await import('./revoke.ts')
      await revokeKey(context, id)
    })
    .addHelpText('after', '\nExample:\n  tidings service-keys revoke 0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee')
}
