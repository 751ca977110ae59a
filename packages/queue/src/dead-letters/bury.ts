import type { DeadLetter, DeadLetterReason, FailedAttempt } from '@tidings/shared/dead-letter'
import type { JobQueue } from '../backend.ts'
import { type DeadLetterEntry, toJob } from './entry.ts'
import { deadLetterId, placeOf } from './entry-id.ts'
import { fingerprintOf } from './fingerprint.ts'
import { type FindErased, redactErased } from './redact.ts'

export type DeadLetterQueue = JobQueue<DeadLetter>

/** An event that the worker gives up on, with what it knows of the failure. */
export interface FailedEvent {
  /** The event's id. For an unreadable event without one: derived from its content. */
  eventId: string
  event: unknown
  /**
   * The content digest in hex. Only an event with an idempotency key has one. It tells two contents under one key
   * apart.
   */
  contentHash?: string | undefined
  reason: DeadLetterReason
  error: { code: string; message: string }
  attempts: number
  /** Errors of all recorded attempts, oldest first. */
  history?: readonly FailedAttempt[]
  firstFailedAt: Date
  /** The job that held the event, named by sourceJobIdOf; null when the job has no id. */
  sourceJobId: string | null
  redrives: number
}

/**
 * Writes dead letters; resolves when all are durable. The id of a dead letter follows from the event, and adding an
 * id that exists changes nothing. So burying an event again is harmless: after a crash, or when it was sent twice.
 *
 * @param queues the dead-letter queues, as deadLetterNames names them.
 * @param findErased finds the erased users. Their events are redacted before they are written.
 */
export async function buryEvents(
  queues: readonly { addBulk(jobs: Parameters<DeadLetterQueue['addBulk']>[0]): Promise<unknown> }[],
  failedEvents: readonly FailedEvent[],
  findErased: FindErased,
): Promise<void> {
  if (failedEvents.length === 0) return
  const deadAt = new Date().toISOString()
  // Compute the ids before the redaction: it changes the content, and so would change the id.
  const entries = failedEvents.map((failed) => toDeadLetter(failed, deadAt))
  const redacted = await redactErased(entries, findErased)
  const byQueue = Map.groupBy(redacted, ({ id }) => queues[placeOf(id, queues.length)])
  await Promise.all([...byQueue].map(([queue, letters]) => queue?.addBulk(letters.map(toJob))))
}

function toDeadLetter(failed: FailedEvent, deadAt: string): DeadLetterEntry {
  return {
    id: deadLetterId(failed),
    event: failed.event,
    reason: failed.reason,
    error: failed.error,
    fingerprint: fingerprintOf(failed.reason, failed.error),
    attempts: failed.attempts,
    history: [...(failed.history ?? [])],
    first_failed_at: failed.firstFailedAt.toISOString(),
    dead_at: deadAt,
    source_job_id: failed.sourceJobId,
    redrives: failed.redrives,
  }
}
