import { createHash } from 'node:crypto'
import type { DeadLetter, DeadLetterReason, FailedAttempt } from '@tidings/shared/dead-letter'
import { canonicalJson } from '@tidings/shared/json'
import type { StatusEvent } from '@tidings/shared/status-event'
import type { JobQueue } from './backend.ts'
import { eventFields, isEventObject, toEntry, writableEvent } from './dead-letter-entry.ts'
import { eventWithoutTraces } from './erase-traces.ts'
import { DEAD_LETTER_JOB, DEAD_LETTER_JOB_OPTIONS } from './policy.ts'

export type DeadLetterQueue = JobQueue<DeadLetter>

/** What burying needs of it. */
export type BurialQueue = Pick<DeadLetterQueue, 'getJob' | 'addBulk'>

/** Which event it is: two contents under one id are two. */
interface Identity {
  /** The event's id; for an unreadable event, one derived from its job. */
  eventId: string
  event: unknown
  /** Tells two conflicting contents under one event id apart. */
  contentHash?: string | undefined
}

/** What is known of an event at its death. */
export interface Death extends Identity {
  reason: DeadLetterReason
  error: { code: string; message: string }
  attempts: number
  /** Errors of former tries, oldest first. */
  history?: readonly FailedAttempt[]
  firstFailedAt: Date
  sourceJobId: string | null
  redrives: number
}

/**
 * Writes dead letters; resolves when all are durable. Burying the same event again changes nothing, so it is
 * safe to repeat after a crash.
 *
 * @returns how many of them were dead letters already.
 */
export async function buryEvents(queue: BurialQueue, deaths: readonly Death[]): Promise<number> {
  const burials = deaths.map((death) => ({ death, id: deadLetterId(death) }))
  const added = new Set<string>()
  // An event is buried when it is found buried. To have added it says nothing: an id that is taken keeps its entry,
  // which may be of another event, and may be taken away by an operator before anybody looks again.
  let open = burials
  while (open.length > 0) {
    const found = await findEntries(
      queue,
      open.map(({ id }) => id),
    )
    open = open.filter((burial) => !isBuried(burial, found.get(burial.id)))
    const absent = open.filter(({ id }) => !found.has(id))
    await addEntries(queue, absent)
    for (const { id } of absent) added.add(id)
    // Two contents may have one id, by their key or by a producer's mistake: the second gets an entry of its own.
    for (const burial of open) if (found.has(burial.id)) burial.id = idWithContent(burial.death)
  }
  const created = burials.map(({ id }) => id).filter((id) => added.has(id))
  return deaths.length - new Set(created).size
}

/**
 * Of these events, those that are dead letters: in an entry of their own, or in the one that they share with a
 * repeat.
 */
export async function findDeadEvents(
  queue: BurialQueue,
  events: readonly StatusEvent[],
): Promise<Set<StatusEvent>> {
  const identities = events.map((event) => ({ eventId: event.id, event, contentHash: event.content_hash }))
  const places = identities.flatMap((identity) =>
    [plainId(identity), idWithContent(identity)].map((id) => ({ death: identity, id })),
  )
  const found = await findEntries(
    queue,
    places.map(({ id }) => id),
  )
  return new Set(
    places.filter((place) => isBuried(place, found.get(place.id))).map(({ death }) => death.event),
  )
}

/** An event, and an id under which it may be found among the dead. */
interface Burial<Dead extends Identity = Death> {
  death: Dead
  id: string
}

const isBuried = ({ death, id }: Burial<Identity>, entry: DeadLetter | undefined): boolean =>
  entry !== undefined && (isSameEvent(entry, death) || id === idWithContent(death))

/** Whether a repeat of what is dead already has died; an entry may have lost its owner in between. */
function isSameEvent(entry: DeadLetter, { event, contentHash }: Identity): boolean {
  if (contentHash) return eventFields(entry.event).contentHash === contentHash
  const found = contentOf(entry.event)
  return found === contentOf(event) || found === contentOf(eventWithoutTraces(event))
}

/** What makes an event without a key this event: not when it came, nor how often it was sent back. */
function contentOf(whole: unknown): string {
  const event = writableEvent(whole)
  if (!isEventObject(event)) return canonicalJson(event)
  const { received_at, redrives: _, timestamp, ...content } = event
  return canonicalJson(timestamp === received_at ? content : { ...content, timestamp })
}

async function findEntries(queue: BurialQueue, ids: readonly string[]): Promise<Map<string, DeadLetter>> {
  const jobs = await Promise.all([...new Set(ids)].map(async (id) => [id, await queue.getJob(id)] as const))
  return new Map(jobs.flatMap(([id, job]) => (job === undefined ? [] : [[id, toEntry(id, job.data)]])))
}

/** An id that is taken keeps its entry. */
async function addEntries(queue: BurialQueue, burials: readonly Burial[]): Promise<void> {
  if (burials.length === 0) return
  const deadAt = new Date().toISOString()
  await queue.addBulk(
    burials.map(({ death, id }) => ({
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
      opts: { ...DEAD_LETTER_JOB_OPTIONS, jobId: id },
    })),
  )
}

/**
 * `dead-<event id>`. A conflict shares its id with a stored event, and may share it with other conflicts:
 * its content's digest keeps them apart.
 */
function deadLetterId(death: Death): string {
  return isKeyedConflict(death) ? idWithContent(death) : plainId(death)
}

const plainId = ({ eventId }: Identity) => `dead-${eventId}`

const isKeyedConflict = ({ reason, contentHash }: Death) => reason === 'conflict' && contentHash !== undefined

function idWithContent({ eventId, contentHash, event }: Identity): string {
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
