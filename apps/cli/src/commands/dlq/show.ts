import type { DeadLetterEntry } from '@tidings/queue/dead-letters/entry'
import { resolveEntryIds } from '@tidings/queue/dead-letters/resolve-ids'
import type { Command } from 'commander'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { parseText } from '../../input/parse-option.ts'
import { toShown } from '../../mask-output.ts'
import { formatAge } from '../../terminal/format.ts'
import { writeItem, writeList } from '../../terminal/output.ts'
import { createPaint, type Paint, printable } from '../../terminal/table.ts'
import { entryView } from './list.ts'

export function registerShow(dlq: Command, context: CliContext): void {
  dlq
    .command('show')
    .description('Show a dead letter: the event, the error, and what was tried.')
    .argument('<id>', "the entry's id, or the event's", parseText)
    .action((id: string) => runShow(context, id))
    .addHelpText(
      'after',
      `
An event that conflicted has two entries. With the event's id both are shown:
-o json then prints an array, otherwise one object.

Examples:
  tidings dlq show dead-0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee-1a2b3c4d
  tidings dlq show 0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee -o json`,
    )
}

async function runShow(context: CliContext, id: string): Promise<void> {
  const { terminal, globals } = context
  const store = await context.deadLetters()
  const found = await store.get(await resolveEntryIds(store, [id]))
  const [only, ...others] = found.map((entry) => toShown(globals, entry))
  if (only === undefined) throw new CliError(EXIT.notFound, `There is no dead letter ${printable(id)}.`)
  const isText = globals.output === undefined || globals.output === 'table'
  if (others.length > 0 && !isText) return writeList(context, found, entryView(context))
  const paint = createPaint(terminal.colors.stdout)
  const text = [only, ...others].map((entry) => describeEntry(entry, paint)).join('\n\n')
  await writeItem(context, only, globals.output === 'id' ? only.id : text)
}

function describeEntry(entry: DeadLetterEntry, paint: Paint): string {
  const when = (iso: string) => `${printable(iso)}  ${paint('dim', `${formatAge(iso)} ago`)}`
  const times = (count: number, what: string) => `${count} ${count === 1 ? what : `${what}s`}`
  const rows: [string, string][] = [
    ['Entry', paint('bold', printable(entry.id))],
    ['Reason', paint('yellow', entry.reason)],
    ['Error', paint('red', printable(`${entry.error.code}: ${entry.error.message}`))],
    ['Fingerprint', printable(entry.fingerprint)],
    ['First failed', when(entry.first_failed_at)],
    ['Dead since', when(entry.dead_at)],
    ['Tried', times(entry.attempts, 'attempt')],
    ['Redriven', times(entry.redrives, 'time')],
    ['Source job', printable(entry.source_job_id ?? '-')],
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
