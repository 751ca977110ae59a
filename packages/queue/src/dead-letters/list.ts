import { type DeadLetterEntry, eventFields, SCAN_PAGE } from './entry.ts'
import { createMatcher, type DeadLetterFilter } from './filter.ts'
import { scanDeadLetters } from './scan.ts'
import { readSelection } from './selection.ts'
import type { DeadLetterStore } from './store.ts'

export const LIST_SORTS = [
  'dead_at',
  'first_failed_at',
  'attempts',
  'redrives',
  'reason',
  'type',
  'status',
  'notification_id',
] as const
export type ListSort = (typeof LIST_SORTS)[number]

export interface ListRequest {
  filter: DeadLetterFilter
  limit: number
  /** The cursor that the previous page returned, for the same filter and sorting. */
  cursor?: string | undefined
  sort: ListSort
  ascending: boolean
  /**
   * The listing calls it with the page's entries in parts and awaits it, so that the page need not fit into memory.
   */
  onEntries(entries: readonly DeadLetterEntry[]): Promise<void>
}

/** The cursor is not one of ours, or belongs to another sorting. */
export class BadCursorError extends Error {
  constructor() {
    super('This cursor does not belong to this listing. Start again without it.')
    this.name = 'BadCursorError'
  }
}

/**
 * Lists one page of the entries that match. The `dead_at` sorting follows the order in which the store received the
 * entries, and reads only as far as it must. Any other sorting reads all entries once, and the page's entries again.
 *
 * @returns the cursor of the next page; undefined at the end.
 * @throws BadCursorError
 */
export async function listDeadLetters(
  store: DeadLetterStore,
  request: ListRequest,
): Promise<string | undefined> {
  return request.sort === 'dead_at' ? listByBurial(store, request) : listSorted(store, request)
}

async function listByBurial(store: DeadLetterStore, request: ListRequest): Promise<string | undefined> {
  const { limit, cursor, ascending } = request
  const positions = readPositions(cursor, store.parts.length)
  const matches = createMatcher(request.filter)
  const pages = scanDeadLetters(store, {
    pageSize: Math.min(SCAN_PAGE, limit + 1),
    after: [...positions],
    newestFirst: !ascending,
  })
  let left = limit
  for await (const page of pages) {
    const found = page.filter(({ entry }) => matches(entry))
    const listed = found.slice(0, left)
    if (listed.length > 0) await request.onEntries(listed.map(({ entry }) => entry))
    left -= listed.length
    for (const { part, position } of listed) positions[part] = position
    if (found.length > listed.length) return positions.join('_')
  }
  return undefined
}

/** The cursor of a listing by burial holds a position for each part of the store. */
function readPositions(cursor: string | undefined, parts: number): (string | undefined)[] {
  if (cursor === undefined) return Array.from({ length: parts })
  const positions = cursor.split('_').map((text) => (text === '' ? undefined : text))
  const isOurs = positions.every((position) => position === undefined || /^\d+(\.\d+)?$/.test(position))
  if (!isOurs || positions.length !== parts || cursor === '') throw new BadCursorError()
  return positions
}

type SortKey = [value: string | number, id: string]

function sortKey(entry: DeadLetterEntry, sort: ListSort): SortKey {
  const fields = eventFields(entry.event)
  const value = {
    dead_at: entry.dead_at,
    first_failed_at: entry.first_failed_at,
    attempts: entry.attempts,
    redrives: entry.redrives,
    reason: entry.reason,
    type: fields.type ?? '',
    status: fields.status ?? '',
    notification_id: fields.notificationId ?? '',
  }[sort]
  return [value, entry.id]
}

function compareKeys([a, aId]: SortKey, [b, bId]: SortKey): number {
  return a < b ? -1 : a > b ? 1 : aId < bId ? -1 : aId > bId ? 1 : 0
}

async function listSorted(store: DeadLetterStore, request: ListRequest): Promise<string | undefined> {
  const { limit, sort, ascending } = request
  const matches = createMatcher(request.filter)
  const after = request.cursor === undefined ? undefined : readCursor(request.cursor, sort)
  const compare = (a: SortKey, b: SortKey) => (ascending ? compareKeys(a, b) : compareKeys(b, a))
  let best: SortKey[] = []
  /** Bounds the memory: only the keys of this page and one more are needed. */
  const keepBest = () => {
    best.sort(compare)
    best = best.slice(0, limit + 1)
  }
  for await (const page of scanDeadLetters(store, { pageSize: SCAN_PAGE })) {
    for (const { entry } of page) {
      if (!matches(entry)) continue
      const key = sortKey(entry, sort)
      if (after === undefined || compare(key, after) > 0) best.push(key)
    }
    if (best.length > 4 * limit + 1_000) keepBest()
  }
  keepBest()
  const page = best.slice(0, limit)
  const ids = page.map(([, id]) => id)
  for await (const { entries } of readSelection(store, { kind: 'ids', ids })) await request.onEntries(entries)
  const last = page.at(-1)
  return best.length > limit && last ? writeCursor(sort, last) : undefined
}

const writeCursor = (sort: ListSort, key: SortKey) =>
  Buffer.from(JSON.stringify([sort, ...key])).toString('base64url')

function readCursor(cursor: string, sort: ListSort): SortKey {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (Array.isArray(parsed) && parsed[0] === sort && typeof parsed[2] === 'string') {
      const value: unknown = parsed[1]
      if (typeof value === 'string' || typeof value === 'number') return [value, parsed[2]]
    }
  } catch {
    // The text is not one of our cursors: BadCursorError below.
  }
  throw new BadCursorError()
}
