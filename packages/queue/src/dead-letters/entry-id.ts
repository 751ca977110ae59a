import { createHash } from 'node:crypto'
import { canonicalJson } from '@tidings/shared/json'
import { isEventObject, writableEvent } from './entry.ts'

/**
 * `dead-<event id>-<first 8 hex digits of the content digest>`. The same event always gets the same id. Two contents
 * under one event id, such as a conflict and the event it conflicts with, get two.
 */
export function deadLetterId(failed: {
  eventId: string
  event: unknown
  contentHash?: string | undefined
}): string {
  const digest = failed.contentHash ?? contentDigest(failed.event)
  return `dead-${failed.eventId}-${digest.slice(0, 8)}`
}

/**
 * The number of the dead-letter queue, of `queues`, that holds an entry. It follows from the id, not from the job: the
 * same event in jobs of two shards becomes one dead letter.
 */
export const placeOf = (id: string, queues: number): number =>
  queues === 1 ? 0 : createHash('sha256').update(id).digest().readUInt32BE(0) % queues

/** Whether an id has the form of deadLetterId, with a digest. */
export const isEntryId = (id: string): boolean => /^dead-.+-[0-9a-f]{8}$/s.test(id)

/** Extracts the event id from an entry id. Returns an event id unchanged. */
export const eventIdOf = (id: string): string => /^(?:dead-)?(.*?)(?:-[0-9a-f]{8})?$/s.exec(id)?.[1] ?? id

/**
 * Hex SHA-256 of the content that identifies an event without an idempotency key. It leaves out `received_at`,
 * `redrives`, `redrive_key`, and a `timestamp` equal to `received_at`: they differ when the same event comes again.
 */
export function contentDigest(event: unknown): string {
  return createHash('sha256')
    .update(contentOf(writableEvent(event)))
    .digest('hex')
}

function contentOf(event: unknown): string {
  if (!isEventObject(event)) return canonicalJson(event)
  const { received_at, redrives: _redrives, redrive_key: _key, timestamp, ...content } = event
  return canonicalJson(timestamp === received_at ? content : { ...content, timestamp })
}
