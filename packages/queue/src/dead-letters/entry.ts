import type { StoredContent } from '@tidings/db/events/status-events'
import { type DeadLetter, deadLetterSchema } from '@tidings/shared/dead-letter'
import { cutDeepJson, isTooDeep } from '@tidings/shared/json'
import { DEAD_LETTER_JOB, DEAD_LETTER_JOB_OPTIONS } from '../policy.ts'

/** A dead letter with its id; deadLetterId says what it is made of. */
export interface DeadLetterEntry extends DeadLetter {
  id: string
}

/** An entry and its position in the order of burial: an opaque cursor to continue after it. */
export interface PlacedEntry {
  entry: DeadLetterEntry
  position: string
  /** Size in the store. */
  bytes: number
}

/** Most entries changed in one transaction. It bounds how long the store is busy with it. */
export const MAX_BATCH = 100
/**
 * Most bytes read, moved or changed at once, as the store holds them. A larger entry goes alone. A foreign producer's
 * job may be hundreds of times larger than an ordinary event, and a page of such entries would fill the memory.
 * An envelope of this size stays below MAX_JOB_LENGTH: rewriting the JSON makes it at most 5 times longer (`1e20`).
 */
export const MAX_BATCH_BYTES = 2 * 1024 * 1024
/**
 * Levels of nesting that are kept of an event. The service's own events have at most 32. Writing JSON that is nested
 * thousands of levels deep overflows the stack, in an export as in a redrive.
 */
export const MAX_ENTRY_DEPTH = 1_000
/** Most entries on one page of a walk through all dead letters. */
export const SCAN_PAGE = 500

/** The fields of an event that operators filter by. An unreadable event has none of them. */
export interface EventFields {
  id: string | undefined
  notificationId: string | undefined
  type: string | undefined
  status: string | undefined
  userId: string | undefined
  source: string | undefined
  /** Hex digest of the content, of an event with an idempotency key. */
  contentHash: string | undefined
}

export function eventFields(event: unknown): EventFields {
  const fields = isEventObject(event) ? event : {}
  const text = (name: string) => {
    const value = fields[name]
    return typeof value === 'string' ? value : undefined
  }
  return {
    id: text('id'),
    notificationId: text('notification_id'),
    type: text('notification_type'),
    status: text('status'),
    userId: text('user_id'),
    source: text('source'),
    contentHash: text('content_hash'),
  }
}

/** False for an event that is not an object: it cannot carry its number of redrives, and can never be stored. */
export function isEventObject(event: unknown): event is Record<string, unknown> {
  return typeof event === 'object' && event !== null && !Array.isArray(event)
}

/** Reads what the store holds under an id. Data that is not a dead letter becomes an `unreadable_entry`. */
export function toEntry(id: string, data: unknown): DeadLetterEntry {
  const parsed = deadLetterSchema.safeParse(data)
  if (parsed.success) return { id, ...parsed.data, event: writableEvent(parsed.data.event) }
  return {
    id,
    event: writableEvent(data),
    reason: 'invalid_event',
    error: { code: UNREADABLE_ENTRY, message: 'The queue holds something that is not a dead letter.' },
    fingerprint: '000000000000',
    attempts: 0,
    history: [],
    first_failed_at: new Date(0).toISOString(),
    dead_at: new Date(0).toISOString(),
    source_job_id: null,
    redrives: 0,
  }
}

/** The event, cut below MAX_ENTRY_DEPTH levels so that it can be written as JSON. */
export const writableEvent = (event: unknown): unknown =>
  isTooDeep(event, MAX_ENTRY_DEPTH) ? cutDeepJson(event, MAX_ENTRY_DEPTH) : event

/** The entry without its id: the data of a job on the dead-letter queue. */
export function toJobData({ id: _id, ...letter }: DeadLetterEntry): DeadLetter {
  return letter
}

/** The entry as addBulk takes it. */
export const toJob = (entry: DeadLetterEntry) => ({
  name: DEAD_LETTER_JOB,
  data: toJobData(entry),
  opts: { ...DEAD_LETTER_JOB_OPTIONS, jobId: entry.id },
})

/** @throws RangeError for more than MAX_BATCH items. */
export function assertBatch(batch: readonly unknown[]): void {
  if (batch.length > MAX_BATCH) throw new RangeError(`At most ${MAX_BATCH} dead letters at once.`)
}

/** Error code of an event that the worker could not read. */
export const UNREADABLE_EVENT = 'invalid_event'
const UNREADABLE_ENTRY = 'unreadable_entry'

/**
 * Whether the event of a dead letter is stored already: a row has its id and its content. An unreadable event never
 * is: a row under its id belongs to another event.
 *
 * @param stored the rows found under the event's id, from findStoredContent.
 */
export function isStored(letter: Pick<DeadLetter, 'event' | 'error'>, stored: StoredContent): boolean {
  if (letter.error.code === UNREADABLE_EVENT || letter.error.code === UNREADABLE_ENTRY) return false
  const { id, contentHash } = eventFields(letter.event)
  return id !== undefined && stored.has(id) && stored.get(id) === contentHash
}

/** Times of burial by id: an entry that was redriven and dead-lettered again has another one. */
export function buriedAt(entries: readonly DeadLetterEntry[]): Map<string, string> {
  return new Map(entries.map((entry) => [entry.id, entry.dead_at]))
}
