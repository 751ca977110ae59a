import { NOTIFICATION_TYPES } from '@tidings/shared/status-event'
import { type Command, Option } from 'commander'
import type { CliContext } from '../../context.ts'
import { parseDuration, parseText } from '../../input/parse-option.ts'
import type { RetentionOptions } from './apply.ts'

export function registerRetention(program: Command, context: CliContext): void {
  program
    .command('retention')
    .description('How long events are kept.')
    .command('apply')
    .description('Remove the rows of events that were received longer ago than a period.')
    .addOption(
      new Option('--older-than <duration>', 'how long events are kept, such as 180d; 3d at least')
        .argParser(parseDuration)
        .makeOptionMandatory(),
    )
    .addOption(new Option('--type <type>', 'only events of this type').choices(NOTIFICATION_TYPES))
    .option('--source <name>', 'only events of this source', parseText)
    .option('--dry-run', 'only report what would be removed')
    .option('-y, --yes', 'do not ask')
    .action(async (options: RetentionOptions) => {
      const { runRetention } = await import('./apply.ts')
      await runRetention(context, options)
    })
    .addHelpText(
      'after',
      `
Months that are over are dropped whole, each in less than a second. Other rows
are deleted a few at a time. Events are stored meanwhile. Run it every day, and
once for each type or source that has a period of its own.

Statistics, suppressions, dead letters and the audit table stay.

Exit code 5: a part is left; the same command again does the rest.
docs/keeping-and-deleting-data.md explains what goes and what stays.

Examples:
  tidings retention apply --older-than 180d --dry-run
  tidings retention apply --older-than 180d --yes
  tidings retention apply --older-than 30d --type push --yes
  tidings retention apply --older-than 90d --source newsletter -o json --yes`,
    )
}
