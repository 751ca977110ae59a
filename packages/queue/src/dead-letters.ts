import { createHash } from 'node:crypto'
import type { DeadLetter, DeadLetterReason, FailedAttempt } from '@tidings/shared/dead-letter'
import type { JobQueue } from './backend.ts'
import { DEAD_LETTER_JOB, DEAD_LETTER_JOB_OPTIONS } from './policy.ts'

export type DeadLetterQueue = JobQueue<DeadLetter>

/** What is known of an event at its death. */
export interface Death {
  /** The event's id; for an unreadable event, one derived from its job. */
  eventId: string
  event: unknown
  reason: DeadLetterReason
  error: { code: string; message: string }
  attempts: number
  /** Errors of former tries, oldest first. */
  history?: readonly FailedAttempt[]
  firstFailedAt: Date
  sourceJobId: string | null
  redrives: number
  /** Tells two conflicting contents under one event id apart. */
  contentHash?: string | undefined
}

/**
 * Writes dead letters; resolves when all are durable. Burying the same event again changes nothing, so it is
 * safe to repeat after a crash.
 *
 * @returns how many of them were dead letters already.
 */
export async function buryEvents(queue: DeadLetterQueue, deaths: readonly Death[]): Promise<number> {
  if (deaths.length === 0) return 0
  const ids = new Set(deaths.map(deadLetterId))
  const found = await Promise.all([...ids].map((id) => queue.getJob(id)))
  const deadAt = new Date().toISOString()
  await queue.addBulk(
    deaths.map((death) => ({
      name: DEAD_LETTER_JOB,
      data: {
        event: death.event,
        reason: death.reason,
        error: death.error,
        fingerprint: fingerprintOf(death.reason, death.error),
        attempts: death.attempts,
        history: [...(death.history ?? [])],
        first_failed_at: death.firstFailedAt.toISOString(),
        dead_at: deadAt,
        source_job_id: death.sourceJobId,
        redrives: death.redrives,
      },
      opts: { ...DEAD_LETTER_JOB_OPTIONS, jobId: deadLetterId(death) },
    })),
  )
  return deaths.length - found.filter((entry) => entry === undefined).length
}

/**
 * `dead-<event id>`. A conflict shares its id with a stored event, and may share it with other conflicts:
 * its content's digest keeps them apart.
 */
export function deadLetterId(death: Pick<Death, 'eventId' | 'reason' | 'contentHash'>): string {
  const suffix = death.reason === 'conflict' && death.contentHash ? `-${death.contentHash.slice(0, 8)}` : ''
  return `dead-${death.eventId}${suffix}`
}

/** The event behind an entry's id, and the start of its content's digest where the id has one. */
export function splitDeadLetterId(id: string): { eventId: string; content: string } {
  const [, eventId = id, content = ''] = /^dead-(.{36})(?:-(.*))?$/s.exec(id) ?? []
  return { eventId, content }
}

/** Twelve hex digits, equal for errors that differ only in ids, numbers and quoted values. */
export function fingerprintOf(reason: DeadLetterReason, error: { code: string; message: string }): string {
  const normal = `${reason} ${error.code} ${normalizeMessage(error.message)}`
  return createHash('sha256').update(normal).digest('hex').slice(0, 12)
}

/** The message with what varies from event to event taken out. */
export function normalizeMessage(message: string): string {
  return message
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi, '<id>')
    .replace(/"[^"]*"|'[^']*'/g, '<value>')
    .replace(/\b[0-9a-f]{16,}\b/gi, '<id>')
    .replace(/\d+(\.\d+)?/g, '<n>')
    .replace(/\s+/g, ' ')
    .trim()
}
