import { NOTIFICATION_TYPES } from '@tidings/shared/status-event'
import { NOTE_LENGTH, SUPPRESSION_REASONS } from '@tidings/shared/suppression'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { CliContext } from '../../context.ts'
import { parseCategory, parseCount, parseFutureTime, parseText } from '../../input/parse-option.ts'
import type { AddOptions, LiftOptions } from './change.ts'
import type { CheckOptions } from './check.ts'
import type { ImportOptions } from './import.ts'
import type { ListOptions } from './list.ts'

/** The commands import their code on first use: loading the query builder takes longer than most commands. */
export function registerSuppressions(program: Command, context: CliContext): void {
  const group = program.command('suppressions').description('Recipients that must not be sent to.')
  const oneOf = (flags: string, text: string, values: readonly string[]) =>
    new Option(flags, text).choices(values)
  const category = ['--category <key>', 'a category; default: every message', parseCategory] as const

  group
    .command('list')
    .description('List the suppressions in force, newest first.')
    .addOption(oneOf('--channel <channel>', 'only these', NOTIFICATION_TYPES))
    .addOption(oneOf('--reason <reason>', 'only these', SUPPRESSION_REASONS))
    .option('--category <key>', 'only these', parseCategory)
    .option('--limit <n>', 'how many', parseCount(1, 1_000_000), 25)
    .option('--cursor <cursor>', 'continue after a page; the command prints the cursor')
    .action(async (options: ListOptions) => (await import('./list.ts')).runList(context, options))
    .addHelpText(
      'after',
      `
Examples:
  tidings suppressions list --reason complaint
  tidings suppressions list --channel push --limit 1000 -o ndjson`,
    )

  const withRecipients = (command: Command) =>
    command
      .argument('[recipient]', 'an address or a push token; - reads them from stdin, one a line')
      .option('--file <path>', 'read the recipients from a file, one a line', parseText)
      .option('--digest', 'the recipients are digests, as list shows them')
      .addOption(oneOf('--channel <channel>', 'email or push', NOTIFICATION_TYPES).default('email'))

  withRecipients(group.command('add').description('Suppress recipients.'))
    .addOption(oneOf('--reason <reason>', 'why', SUPPRESSION_REASONS).default('manual'))
    .option(...category)
    .option('--until <time>', 'when it ends: RFC 3339, or a duration such as 72h', parseFutureTime)
    .option('--note <text>', 'what others should know; do not name the recipient', parseNote)
    .option('-y, --yes', 'do not ask')
    .action(async (recipient: string | undefined, options: AddOptions) =>
      (await import('./change.ts')).runAdd(context, recipient, options),
    )
    .addHelpText(
      'after',
      `
Examples:
  tidings suppressions add ann@example.com --note "asked by phone"
  tidings suppressions add - --reason unsubscribe --category newsletter --yes < addresses.txt`,
    )

  withRecipients(group.command('lift').description('Send to recipients again.'))
    .addOption(oneOf('--reason <reason>', 'lift only these', SUPPRESSION_REASONS))
    .option('--category <key>', 'lift only these', parseCategory)
    .option('--note <text>', 'why; needed for a complaint, and kept in the audit table', parseNote)
    .option('-y, --yes', 'do not ask')
    .action(async (recipient: string | undefined, options: LiftOptions) =>
      (await import('./change.ts')).runLift(context, recipient, options),
    )
    .addHelpText(
      'after',
      `
Examples:
  tidings suppressions lift ann@example.com --reason bounce
  tidings suppressions lift ann@example.com --note "pressed spam by mistake, case 4711"`,
    )

  withRecipients(group.command('check').description('Whether recipients are suppressed, and why.'))
    .option('--category <key>', 'look also at suppressions of this category', parseCategory)
    .action(async (recipient: string | undefined, options: CheckOptions) =>
      (await import('./check.ts')).runCheck(context, recipient, options),
    )
    .addHelpText(
      'after',
      `
Examples:
  tidings suppressions check ann@example.com
  tidings suppressions check --file addresses.txt -o ndjson`,
    )

  group
    .command('import')
    .description('Suppress the recipients of a CSV file of SES, SendGrid, Postmark or tidings.')
    .argument('<file>', 'the file; - reads stdin', parseText)
    .addOption(oneOf('--reason <reason>', 'for a file that gives no reasons', SUPPRESSION_REASONS))
    .option('--dry-run', 'only check the file and count')
    .option('-y, --yes', 'do not ask')
    .action(async (file: string, options: ImportOptions) =>
      (await import('./import.ts')).runImport(context, file, options),
    )
    .addHelpText(
      'after',
      `
Examples:
  tidings suppressions import suppressions.csv --dry-run
  tidings suppressions import addresses.csv --reason unsubscribe --yes

The first line tells whose file it is. Wrong lines are reported by their number
and skipped. Importing a file twice is harmless.`,
    )

  group
    .command('export')
    .description('Write all suppressions in force as CSV. It names nobody.')
    .argument('[file]', 'a new file; default: stdout', parseText)
    .action(async (file: string | undefined) => (await import('./export.ts')).runExport(context, file))
    .addHelpText(
      'after',
      `
Example:
  tidings suppressions export suppressions.csv

It can be imported where RECIPIENT_KEY is the same.`,
    )
}

function parseNote(text: string): string {
  if (parseText(text).length <= NOTE_LENGTH) return text
  throw new InvalidArgumentError(`Use at most ${NOTE_LENGTH} characters.`)
}
