import { styleText } from 'node:util'
import type { DeadLetterEntry } from '@tidings/queue/dead-letters/entry'
import { resolveEntryIds } from '@tidings/queue/dead-letters/resolve-ids'
import type { Command } from 'commander'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { parseText } from '../../input/parse-option.ts'
import { toShown } from '../../mask-output.ts'
import { formatAge } from '../../terminal/format.ts'
import { printable, writeItem } from '../../terminal/output.ts'

export function registerShow(dlq: Command, context: CliContext): void {
  dlq
    .command('show')
    .description('Show one dead letter: the event, why it died, what was tried.')
    .argument('<id>', "the entry's id, or the event's", parseText)
    .action((id: string) => runShow(context, id))
    .addHelpText(
      'after',
      `
Examples:
  tidings dlq show dead-0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee
  tidings dlq show 0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee -o json`,
    )
}

async function runShow(context: CliContext, id: string): Promise<void> {
  const store = await context.deadLetters()
  const [entry] = await store.get(await resolveEntryIds(store, [id]))
  if (entry === undefined) throw new CliError(EXIT.notFound, `There is no dead letter ${printable(id)}.`)
  const shown = toShown(context.globals, entry)
  await writeItem(context, shown, describeEntry(shown, context.terminal.colors.stdout))
}

function describeEntry(entry: DeadLetterEntry, colors: boolean): string {
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    colors ? styleText(style, text, { validateStream: false }) : text
  const when = (iso: string) => `${iso}  ${paint('dim', `${formatAge(iso)} ago`)}`
  const times = (count: number, what: string) => `${count} ${count === 1 ? what : `${what}s`}`
  const rows: [string, string][] = [
    ['Entry', paint('bold', entry.id)],
    ['Reason', paint('yellow', entry.reason)],
    ['Error', paint('red', printable(`${entry.error.code}: ${entry.error.message}`))],
    ['Fingerprint', entry.fingerprint],
    ['First failed', when(entry.first_failed_at)],
    ['Died', when(entry.dead_at)],
    ['Tried', times(entry.attempts, 'attempt')],
    ['Redriven', times(entry.redrives, 'time')],
    ['Source job', entry.source_job_id ?? '-'],
  ]
  const history = entry.history.map(
    ({ at, code, message }, index) => `  ${index + 1}  ${at}  ${printable(`${code}: ${message}`)}`,
  )
  const event = JSON.stringify(entry.event, null, 2)
    .split('\n')
    .map((line) => `  ${printable(line)}`)
  return [
    ...rows.map(([name, value]) => `${name.padEnd(13)} ${value}`),
    ...(history.length > 0 ? ['Attempts', ...history] : []),
    'Event',
    ...event,
  ].join('\n')
}
