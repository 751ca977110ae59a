import { type DeadLetterFilter, isEmptyFilter } from '@tidings/queue/dead-letters/filter'
import { type DeadLetterGroup, groupDeadLetters } from '@tidings/queue/dead-letters/groups'
import { resolveEntryIds } from '@tidings/queue/dead-letters/resolve-ids'
import type { Selection } from '@tidings/queue/dead-letters/selection'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import type { Command } from 'commander'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { parseText, parseTexts } from '../../input/parse-option.ts'
import { readIds } from '../../input/read-ids.ts'
import { createMask } from '../../mask-output.ts'
import { entries, formatCount } from '../../terminal/format.ts'
import { startProgress } from '../../terminal/progress.ts'
import { printable, shorten } from '../../terminal/table.ts'
import { addFilterOptions, type FilterOptions, toFilter } from './filter-options.ts'

export interface SelectionOptions extends FilterOptions {
  group?: string
  all?: true
}

/** Adds the ways to select entries: ids, a group, filters, or --all. */
export function addSelectionOptions(command: Command): Command {
  command
    .argument('[ids...]', "entries' ids or events' ids; - reads them from stdin", parseTexts)
    .option('--group <fingerprint>', 'one error group, see dlq groups', parseText)
    .option('--all', 'every dead letter')
  return addFilterOptions(command)
}

/** @throws CliError `usage` unless exactly one way of selecting is used. No selection never means all. */
export async function toSelection(
  context: CliContext,
  ids: readonly string[],
  options: SelectionOptions,
): Promise<Selection> {
  const filter: DeadLetterFilter = toFilter(options)
  if (options.group !== undefined) {
    if (filter.fingerprint !== undefined) throw usageError('Use --group or --fingerprint, not both.')
    filter.fingerprint = options.group
  }
  const ways = [ids.length > 0, options.all === true, !isEmptyFilter(filter)].filter(Boolean).length
  if (ways === 0) throw usageError('Say which entries: ids, --group, filters, or --all.')
  if (ways > 1) throw usageError('Ids, --all and filters cannot be combined.')
  if (ids.length === 0) return { kind: 'filter', filter }
  const given = await readIds(ids, context.terminal.stdin)
  return { kind: 'ids', ids: await resolveEntryIds(await context.deadLetters(), given) }
}

interface SelectionPreview {
  count: number
  groups: DeadLetterGroup[]
}

/** Counts the selected entries, by group. Reads every entry unless ids were given. */
export async function previewSelection(
  context: CliContext,
  store: DeadLetterStore,
  selection: Selection,
): Promise<SelectionPreview> {
  if (selection.kind === 'ids') return { count: selection.ids.length, groups: [] }
  const bar = startProgress(context.terminal, 'Counting', await store.count())
  const groups = await groupDeadLetters(store, selection.filter, bar.update).finally(bar.stop)
  return { count: groups.reduce((sum, group) => sum + group.count, 0), groups }
}

const SHOWN_GROUPS = 8
/** Width of the preview where stderr is no terminal, in columns. */
const PREVIEW_WIDTH = 120

/**
 * Says on stderr which entries are about to change, and how.
 *
 * @param max most entries that will change. The groups shown are those of all selected entries.
 */
export function sayPreview(
  context: CliContext,
  preview: SelectionPreview,
  what: string,
  target: string,
  max = Number.POSITIVE_INFINITY,
): void {
  const { terminal } = context
  const width = terminal.stderr.isTTY ? terminal.stderr.columns || 80 : PREVIEW_WIDTH
  const mask = createMask(context)
  const isPart = max < preview.count
  const which = `${isPart ? `the first ${formatCount(max)} of ` : ''}${entries(preview.count)}`
  terminal.say(`${what}: ${which}, ${target}`)
  if (isPart && preview.groups.length > 0) terminal.say(`  All ${formatCount(preview.count)} by group:`)
  for (const group of preview.groups.slice(0, SHOWN_GROUPS)) {
    const error = printable(mask(`${group.error.code}: ${group.error.message}`))
    const line = `  ${formatCount(group.count).padStart(8)}  ${group.fingerprint}  ${group.reason}  ${error}`
    terminal.say(shorten(line, width))
  }
  if (preview.groups.length > SHOWN_GROUPS)
    terminal.say(`            and ${preview.groups.length - SHOWN_GROUPS} more groups`)
}

/**
 * Says that no entry matches.
 *
 * @throws CliError `notFound` when the named group does not exist: it may be misspelt.
 */
export async function sayNoMatch(
  { terminal }: CliContext,
  store: DeadLetterStore,
  { group, all }: SelectionOptions,
): Promise<void> {
  if (group !== undefined && (await groupDeadLetters(store, { fingerprint: group })).length === 0)
    throw new CliError(EXIT.notFound, `There is no group ${printable(group)}. See tidings dlq groups.`)
  terminal.say(all ? 'No dead letters.' : 'No dead letter matches.')
}

export const noneExists = () => new CliError(EXIT.notFound, 'None of these dead letters exists.')

/** The selection as the audit table stores it. At most 100 ids are listed. */
export function describeSelection(selection: Selection): unknown {
  if (selection.kind === 'filter') return isEmptyFilter(selection.filter) ? 'all' : selection.filter
  const { ids } = selection
  return ids.length <= 100 ? { ids } : { ids: ids.slice(0, 100), and_more: ids.length - 100 }
}
