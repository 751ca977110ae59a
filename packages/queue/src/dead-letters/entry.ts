import type { EventReference, StoredContent } from '@tidings/db/events/stored-content'
import { type DeadLetter, deadLetterSchema } from '@tidings/shared/dead-letter'
import { cutDeepJson, isTooDeep } from '@tidings/shared/json'
import { DEAD_LETTER_JOB, DEAD_LETTER_JOB_OPTIONS } from '../policy.ts'

/** A dead letter with its id, which deadLetterId makes. */
export interface DeadLetterEntry extends DeadLetter {
  id: string
}

/** An entry and its position in the order of burial: one number, or two numbers joined by a dot. */
export interface PlacedEntry {
  entry: DeadLetterEntry
  position: string
  /** Size in the store. */
  bytes: number
}

/** The maximum number of entries in one transaction. It limits how long a transaction blocks the store. */
export const MAX_BATCH = 100
/**
 * The maximum number of bytes read, moved or changed together, in the store's encoding. A larger entry goes alone. A
 * foreign producer's job may be hundreds of times larger than an ordinary event, and a page of such entries would
 * fill the memory. An envelope of this size stays below MAX_JOB_LENGTH, the most that the worker reads:
 * JSON.stringify makes it at most five times longer, because it writes `1e20` as 21 digits.
 */
export const MAX_BATCH_BYTES = 2 * 1024 * 1024
/**
 * The store code cuts an event below this many nested levels. The service's own events have at most 32. JSON nested
 * thousands of levels deep overflows the stack when it is written.
 */
export const MAX_ENTRY_DEPTH = 1_000
/** The maximum number of entries that a walk reads per page. */
export const SCAN_PAGE = 500

/** The fields of an event that operators filter by. An event that is not an object has none of them. */
export interface EventFields {
  id: string | undefined
  notificationId: string | undefined
  type: string | undefined
  status: string | undefined
  userId: string | undefined
  source: string | undefined
  /** The content digest in hex. Only an event with an idempotency key has one. */
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

/** What findStoredContent finds the event of a dead letter by. */
export function toReference({ event }: { event: unknown }): EventReference {
  const { id, notificationId, type } = eventFields(event)
  return { id, notification_id: notificationId, notification_type: type }
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

/** Makes the BullMQ job of an entry. The entry id becomes the job id. */
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
/** Error codes of what the worker could not read as an event. */
const UNREADABLE_CODES: readonly string[] = [UNREADABLE_EVENT, 'newer_version', UNREADABLE_ENTRY]

/** Whether the entry holds a job's whole data, written by a newer version, instead of one event. */
export const isWholeJob = (entry: Pick<DeadLetter, 'reason'>): boolean => entry.reason === 'newer_version'

/** The data of the jobs that send these events back: one envelope, and one job for each that was a whole job. */
export function toJobsData(moving: readonly { entry: DeadLetterEntry; event: unknown }[]): object[] {
  const events = moving.filter(({ entry }) => !isWholeJob(entry)).map(({ event }) => event)
  const whole = moving.filter(({ entry }) => isWholeJob(entry)).map(({ event }) => event as object)
  return events.length > 0 ? [{ v: 1, events }, ...whole] : whole
}

/**
 * Whether the event of a dead letter is stored. A row must have its id and, for an event with an idempotency key, its
 * content digest. An unreadable event is never stored: a row with its id belongs to another event.
 *
 * @param stored what findStoredContent found for the event.
 */
export function isStored(letter: Pick<DeadLetter, 'event' | 'error'>, stored: StoredContent): boolean {
  if (UNREADABLE_CODES.includes(letter.error.code)) return false
  const { id, contentHash } = eventFields(letter.event)
  return id !== undefined && stored.has(id) && stored.get(id) === contentHash
}

/** Maps each entry id to its burial time. The time changes when the worker buries the entry again. */
export function buriedAt(entries: readonly DeadLetterEntry[]): Map<string, string> {
  return new Map(entries.map((entry) => [entry.id, entry.dead_at]))
}
