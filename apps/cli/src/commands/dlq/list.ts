import { type DeadLetterEntry, eventFields } from '@tidings/queue/dead-letters/entry'
import { LIST_SORTS, type ListSort, listDeadLetters } from '@tidings/queue/dead-letters/list'
import { type Command, Option } from 'commander'
import type { CliContext } from '../../context.ts'
import { parseCount } from '../../input/parse-option.ts'
import { createMask, toShown } from '../../mask-output.ts'
import { entries, formatAge } from '../../terminal/format.ts'
import { type ListView, openList } from '../../terminal/output.ts'
import { shorten } from '../../terminal/table.ts'
import { addFilterOptions, describeNone, type FilterOptions, toFilter } from './filter-options.ts'

interface ListOptions extends FilterOptions {
  limit: number
  cursor?: string
  sort: ListSort
  reverse?: true
}

export function registerList(dlq: Command, context: CliContext): void {
  const list = dlq
    .command('list')
    .description('List dead letters, newest first.')
    .option('--limit <n>', 'how many entries', parseCount(1, 100_000), 25)
    .option('--cursor <cursor>', 'continue after a page; the command prints the cursor')
    .addOption(
      new Option('--sort <field>', 'sort field; all but dead_at read the whole queue')
        .choices(LIST_SORTS)
        .default('dead_at'),
    )
    .option('--reverse', 'smallest or oldest first')
    .action((options: ListOptions) => runList(context, options))
  addFilterOptions(list).addHelpText(
    'after',
    `
Examples:
  tidings dlq list --reason unknown_user --since 2h
  tidings dlq list --sort redrives --limit 10
  tidings dlq list --error timeout -o id | tidings dlq redrive - --yes`,
  )
}

async function runList(context: CliContext, options: ListOptions): Promise<void> {
  const store = await context.deadLetters()
  const filter = toFilter(options)
  const list = openList(context, entryView(context))
  let listed = 0
  const nextCursor = await listDeadLetters(store, {
    filter,
    limit: options.limit,
    cursor: options.cursor,
    sort: options.sort,
    ascending: options.reverse === true,
    async onEntries(entries) {
      listed += entries.length
      await list.write(entries)
    },
  })
  await list.end()
  if (nextCursor !== undefined) context.terminal.say(`More: add --cursor ${nextCursor}`)
  else if (context.terminal.width !== undefined && context.globals.output === undefined)
    context.terminal.say(listed === 0 ? describeNone(filter) : `${entries(listed)}.`)
}

type Failure = Pick<DeadLetterEntry, 'reason' | 'error'>

export const errorText = ({ error }: Failure) => `${error.code}: ${error.message}`

/** Characters of an error in a table. A producer's text may be as long as a page: dlq show has all of it. */
const MAX_ERROR_LENGTH = 240

/** The error in a table on a terminal. The code is omitted where it repeats the reason. */
export const errorCell = (failure: Failure, mask: (text: string) => string): string =>
  shorten(
    mask(failure.error.code === failure.reason ? failure.error.message : errorText(failure)),
    MAX_ERROR_LENGTH,
  )

/** How every command lists entries. */
export function entryView(context: CliContext): ListView<DeadLetterEntry> {
  const mask = createMask(context)
  const field = (name: keyof ReturnType<typeof eventFields>) => (entry: DeadLetterEntry) =>
    mask(eventFields(entry.event)[name] ?? '-')
  return {
    columns: [
      { title: 'ID', cell: (entry) => entry.id, whole: true },
      {
        title: 'AGE',
        cell: (entry) => formatAge(entry.dead_at),
        raw: (entry) => entry.dead_at,
        align: 'right',
        style: 'dim',
      },
      { title: 'REASON', cell: (entry) => entry.reason, style: 'yellow', spare: 5 },
      { title: 'TYPE', cell: field('type'), spare: 2 },
      { title: 'STATUS', cell: field('status'), spare: 3 },
      { title: 'NOTIFICATION', cell: field('notificationId'), maxWidth: 28, spare: 1 },
      { title: 'RE', cell: (entry) => String(entry.redrives), align: 'right', spare: 4 },
      {
        title: 'ERROR',
        cell: (entry) => errorCell(entry, mask),
        raw: (entry) => mask(errorText(entry)),
        style: 'red',
        wraps: true,
        spare: 6,
      },
    ],
    json: (entry) => toShown(context.globals, entry),
    id: (entry) => entry.id,
  }
}
