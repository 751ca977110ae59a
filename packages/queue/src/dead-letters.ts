import { createHash } from 'node:crypto'
import type { DeadLetter, DeadLetterReason, FailedAttempt } from '@tidings/shared/dead-letter'
import { canonicalJson } from '@tidings/shared/json'
import type { JobQueue } from './backend.ts'
import { eventFields, isEventObject } from './dead-letter-entry.ts'
import { withoutTraces } from './erase-traces.ts'
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
  const ids = new Map(deaths.map((death) => [death, deadLetterId(death)]))
  const before = await findEntries(queue, ids.values())
  await addEntries(queue, ids)

  // Two contents may have one id, by their key or by a producer's mistake, and both die. Whose the entry is now is
  // settled: the first one added is there. The other gets an entry of its own.
  const doubtful = deaths.filter(
    (death) => !isKeyedConflict(death) && (death.contentHash || !isNewId(death, deaths, before)),
  )
  if (doubtful.length > 0) {
    const now = await findEntries(queue, doubtful.map(deadLetterId))
    const displaced = doubtful.filter((death) => {
      const holder = now.get(deadLetterId(death))
      return holder !== undefined && !isSameEvent(holder, death)
    })
    const own = new Map(displaced.map((death) => [death, idWithContent(death)]))
    for (const [id, entry] of await findEntries(queue, own.values())) before.set(id, entry)
    await addEntries(queue, own)
    for (const [death, id] of own) ids.set(death, id)
  }
  const created = new Set([...ids.values()].filter((id) => !before.has(id)))
  return deaths.length - created.size
}

const isNewId = (death: Death, deaths: readonly Death[], before: ReadonlyMap<string, unknown>) =>
  !before.has(deadLetterId(death)) &&
  deaths.every(({ eventId }, n) => eventId !== death.eventId || deaths[n] === death)

/** Whether a repeat of what is dead already has died; an entry may have lost its owner in between. */
function isSameEvent(entry: DeadLetter, death: Death): boolean {
  if (death.contentHash) return eventFields(entry.event).contentHash === death.contentHash
  const found = contentOf(entry.event)
  return found === contentOf(death.event) || found === contentOf(withoutTraces(death).event)
}

/** What makes an event without a key this event: not when it came, nor how often it was sent back. */
function contentOf(event: unknown): string {
  if (!isEventObject(event)) return canonicalJson(event)
  const { received_at, redrives: _, timestamp, ...content } = event
  return canonicalJson(timestamp === received_at ? content : { ...content, timestamp })
}

async function findEntries(queue: DeadLetterQueue, ids: Iterable<string>): Promise<Map<string, DeadLetter>> {
  const jobs = await Promise.all([...new Set(ids)].map(async (id) => [id, await queue.getJob(id)] as const))
  return new Map(jobs.flatMap(([id, job]) => (job === undefined ? [] : [[id, job.data]])))
}

/** An id that is taken keeps its entry. */
async function addEntries(queue: DeadLetterQueue, ids: ReadonlyMap<Death, string>): Promise<void> {
  if (ids.size === 0) return
  const deadAt = new Date().toISOString()
  await queue.addBulk(
    [...ids].map(([death, jobId]) => ({
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
      opts: { ...DEAD_LETTER_JOB_OPTIONS, jobId },
    })),
  )
}

/**
 * `dead-<event id>`. A conflict shares its id with a stored event, and may share it with other conflicts:
 * its content's digest keeps them apart.
 */
function deadLetterId(death: Death): string {
  return isKeyedConflict(death) ? idWithContent(death) : `dead-${death.eventId}`
}

const isKeyedConflict = ({ reason, contentHash }: Death) => reason === 'conflict' && contentHash !== undefined

function idWithContent({ eventId, contentHash, event }: Death): string {
  const digest = contentHash ?? createHash('sha256').update(contentOf(event)).digest('hex')
  return `dead-${eventId}-${digest.slice(0, 8)}`
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
