import { type DeadLetterEntry, eventFields, type PlacedEntry, SCAN_PAGE } from './dead-letter-entry.ts'
import { createMatcher, type DeadLetterFilter } from './dead-letter-filter.ts'
import { type DeadLetterStore, scanDeadLetters } from './dead-letter-store.ts'

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
  /** `nextCursor` of the page before, made with the same filter and sorting. */
  cursor?: string | undefined
  sort: ListSort
  ascending: boolean
}

export interface ListPage {
  entries: DeadLetterEntry[]
  /** Undefined at the end. */
  nextCursor: string | undefined
}

/** A cursor that this library did not make, or made for another sorting. */
export class BadCursorError extends Error {
  constructor() {
    super('This cursor does not belong to this listing. Start again without it.')
    this.name = 'BadCursorError'
  }
}

/**
 * One page of the entries that match. By time of death it reads only as far as it must; any other sorting
 * reads all entries once and keeps `limit` of them.
 *
 * @throws BadCursorError
 */
export async function listDeadLetters(store: DeadLetterStore, request: ListRequest): Promise<ListPage> {
  return request.sort === 'dead_at' ? listByDeath(store, request) : listSorted(store, request)
}

async function listByDeath(store: DeadLetterStore, request: ListRequest): Promise<ListPage> {
  const { limit, cursor, ascending } = request
  if (cursor !== undefined && !/^\d+(\.\d+)?$/.test(cursor)) throw new BadCursorError()
  const matches = createMatcher(request.filter)
  const found: PlacedEntry[] = []
  const pages = scanDeadLetters(store, {
    pageSize: Math.min(SCAN_PAGE, limit + 1),
    after: cursor,
    newestFirst: !ascending,
  })
  for await (const page of pages) {
    found.push(...page.filter(({ entry }) => matches(entry)))
    if (found.length > limit) break
  }
  const page = found.slice(0, limit)
  return {
    entries: page.map(({ entry }) => entry),
    nextCursor: found.length > limit ? page.at(-1)?.position : undefined,
  }
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

async function listSorted(store: DeadLetterStore, request: ListRequest): Promise<ListPage> {
  const { limit, sort, ascending } = request
  const matches = createMatcher(request.filter)
  const after = request.cursor === undefined ? undefined : readCursor(request.cursor, sort)
  const compare = (a: SortKey, b: SortKey) => (ascending ? compareKeys(a, b) : compareKeys(b, a))
  let best: { key: SortKey; entry: DeadLetterEntry }[] = []
  const keepBest = () => {
    best.sort((a, b) => compare(a.key, b.key))
    best = best.slice(0, limit + 1)
  }
  for await (const page of scanDeadLetters(store, { pageSize: SCAN_PAGE })) {
    for (const { entry } of page) {
      if (!matches(entry)) continue
      const key = sortKey(entry, sort)
      if (after === undefined || compare(key, after) > 0) best.push({ key, entry })
    }
    if (best.length > 4 * limit + 1_000) keepBest()
  }
  keepBest()
  const page = best.slice(0, limit)
  const last = page.at(-1)
  return {
    entries: page.map(({ entry }) => entry),
    nextCursor: best.length > limit && last ? writeCursor(sort, last.key) : undefined,
  }
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
    // Not ours; told below.
  }
  throw new BadCursorError()
}
