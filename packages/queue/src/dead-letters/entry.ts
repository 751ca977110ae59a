import { type DeadLetter, deadLetterSchema } from '@tidings/shared/dead-letter'
import { cutDeepJson, isTooDeep } from '@tidings/shared/json'

/** A dead letter with the id it is addressed by: `dead-<event id>`. */
export interface DeadLetterEntry extends DeadLetter {
  id: string
}

/** An entry and where it stands in the order of burial; an opaque cursor to continue behind it. */
export interface PlacedEntry {
  entry: DeadLetterEntry
  position: string
  /** What it takes in the store. */
  bytes: number
}

/** The most that is changed in one go: bounds how long one transaction keeps the store busy. */
export const MAX_BATCH = 100
/**
 * The most that is read, moved or changed in one go, in bytes as the store holds them; an entry that is larger goes
 * alone. What a producer sends may be hundreds of times an ordinary event, and a page of such would fill memory. Two
 * pages of ordinary entries have room. An envelope of so much is always one that the worker reads whole: written anew
 * it can be at most 5 times as long, where somebody else wrote numbers as `1e20`, and that is below MAX_JOB_LENGTH.
 */
export const MAX_BATCH_BYTES = 2 * 1024 * 1024
/**
 * Levels of an event that are kept. No event that died here has more than 32; what somebody else put here may have,
 * and to write what is nested thousandfold, as an export or a redrive does, overflows the stack.
 */
export const MAX_ENTRY_DEPTH = 1_000
/** The most entries of a page of a walk through all of them. */
export const SCAN_PAGE = 500

/** What operators look for in an event, whatever shape it has: an unreadable event has none of it. */
export interface EventFields {
  id: string | undefined
  notificationId: string | undefined
  type: string | undefined
  status: string | undefined
  userId: string | undefined
  source: string | undefined
  /** Digest of the content behind an idempotency key. */
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

/** An event that is no object cannot carry how often it was redriven, and can never be stored. */
export function isEventObject(event: unknown): event is Record<string, unknown> {
  return typeof event === 'object' && event !== null && !Array.isArray(event)
}

/** Reads what the store holds under an id. Something else than a dead letter is shown as an unreadable one. */
export function toEntry(id: string, data: unknown): DeadLetterEntry {
  const parsed = deadLetterSchema.safeParse(data)
  if (parsed.success) return { id, ...parsed.data, event: writableEvent(parsed.data.event) }
  return {
    id,
    event: writableEvent(data),
    reason: 'invalid_event',
    error: { code: 'unreadable_entry', message: 'The queue holds something that is no dead letter.' },
    fingerprint: '000000000000',
    attempts: 0,
    history: [],
    first_failed_at: new Date(0).toISOString(),
    dead_at: new Date(0).toISOString(),
    source_job_id: null,
    redrives: 0,
  }
}

/** The event as far as it can be written again. */
export const writableEvent = (event: unknown): unknown =>
  isTooDeep(event, MAX_ENTRY_DEPTH) ? cutDeepJson(event, MAX_ENTRY_DEPTH) : event

/** The entry without its id: what a job of the dead-letter queue holds. */
export function toJobData({ id: _id, ...letter }: DeadLetterEntry): DeadLetter {
  return letter
}

/** Ids an operator may name: an entry's, or the bare event's. */
export function entryId(id: string): string {
  return id.startsWith('dead-') ? id : `dead-${id}`
}

/** Times of death by id: which death of an event is meant. */
export function diedAt(entries: readonly DeadLetterEntry[]): Map<string, string> {
  return new Map(entries.map((entry) => [entry.id, entry.dead_at]))
}
