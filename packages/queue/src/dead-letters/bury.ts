import { createHash } from 'node:crypto'
import type { DeadLetter, DeadLetterReason, FailedAttempt } from '@tidings/shared/dead-letter'
import { canonicalJson } from '@tidings/shared/json'
import type { StatusEvent } from '@tidings/shared/status-event'
import type { JobQueue } from '../backend.ts'
import { DEAD_LETTER_JOB, DEAD_LETTER_JOB_OPTIONS } from '../policy.ts'
import { eventFields, isEventObject, toEntry, writableEvent } from './entry.ts'
import { redactEvent } from './redact.ts'

export type DeadLetterQueue = JobQueue<DeadLetter>

/** What burying needs of it. */
export type BurialQueue = Pick<DeadLetterQueue, 'getJob' | 'addBulk' | 'remove'>

/** Which event it is: two contents under one id are two. */
export interface Identity {
  /** The event's id; for an unreadable event, one derived from its job. */
  eventId: string
  event: unknown
  /** Tells two conflicting contents under one event id apart. */
  contentHash?: string | undefined
}

export const identityOf = (event: StatusEvent) =>
  ({ eventId: event.id, event, contentHash: event.content_hash }) satisfies Identity

/** What is known of an event at its death. */
export interface FailedEvent extends Identity {
  reason: DeadLetterReason
  error: { code: string; message: string }
  attempts: number
  /** Errors of former tries, oldest first. */
  history?: readonly FailedAttempt[]
  firstFailedAt: Date
  /** From sourceJobIdOf. */
  sourceJobId: string | null
  redrives: number
}

/**
 * Writes dead letters; resolves when all are durable. Burying the same event again changes nothing, so it is
 * safe to repeat after a crash.
 *
 * @param beforeAdding rejects where they are no longer the caller's to bury.
 * @returns how many of them were dead letters already.
 */
export async function buryEvents(
  queue: BurialQueue,
  failedEvents: readonly FailedEvent[],
  beforeAdding?: () => Promise<void>,
): Promise<number> {
  const burials = failedEvents.map(
    (failedEvent): Burial => ({ failedEvent, id: deadLetterId(failedEvent), addedAt: undefined }),
  )
  // A conflict has an id of its own, and may come once more as something else: as stalled, after its burial.
  const dead = await findDead(
    queue,
    failedEvents.filter(({ contentHash }) => contentHash !== undefined),
  )
  let open = burials.filter(({ failedEvent }) => !dead.has(failedEvent))
  const ours: Burial[] = []
  while (open.length > 0) {
    const found = await findEntries(
      queue,
      open.map(({ id }) => id),
    )
    const settled = new Set(open.filter((burial) => isSettled(burial, found.get(burial.id))))
    ours.push(...[...settled].filter((burial) => isOurs(burial, found.get(burial.id))))
    open = open.filter((burial) => !settled.has(burial))
    const absent = open.filter(({ id }) => !found.has(id))
    // Of several with one id the first is added; what the others are is seen when it is there.
    const adding = [...Map.groupBy(absent, ({ id }) => id).values()].flatMap((same) => same.slice(0, 1))
    if (adding.length > 0) await beforeAdding?.()
    const addedAt = await addEntries(queue, adding)
    for (const burial of adding) burial.addedAt = addedAt
    // Two contents may have one id, by their key or by a producer's mistake: the second gets an entry of its own.
    for (const burial of open.filter(({ id }) => found.has(id))) {
      burial.id = idWithContent(burial.failedEvent)
      burial.addedAt = undefined
    }
  }
  return burials.length - ours.length + (await mergePairs(queue, ours))
}

/**
 * The same content may have been buried in both of its places at once: as a conflict by one job, and by another that
 * saw no row yet. Whoever added second finds both, and the plain one stays.
 *
 * @returns how many of these burials are the other one's repeat.
 */
async function mergePairs(queue: BurialQueue, burials: readonly Burial[]): Promise<number> {
  const keyed = burials.filter(({ failedEvent }) => failedEvent.contentHash !== undefined)
  const entries = await findEntries(
    queue,
    keyed.flatMap(({ failedEvent }) => entryIdsOf(failedEvent)),
  )
  // The entry of this burial itself may be gone: somebody else found both before.
  const pairs = keyed.filter(({ failedEvent, id }) =>
    entryIdsOf(failedEvent).every(
      (place) => place === id || isEntryOf(entries.get(place), place, failedEvent),
    ),
  )
  await Promise.all(
    [...new Set(pairs.map(({ failedEvent }) => idWithContent(failedEvent)))].map((id) => queue.remove(id)),
  )
  return pairs.length
}

/** A death on its way to the dead letters, and the id that it is to have there. */
interface Burial {
  failedEvent: FailedEvent
  id: string
  /** When under this id: whether it took effect is seen by reading, for an id that is taken keeps its entry. */
  addedAt: string | undefined
}

/**
 * An entry that is gone again was there, and was redriven or deleted: it must not be buried once more. To be another's
 * that was faster, it would have had to come and go within the moment between two reads.
 */
const isSettled = ({ failedEvent, id, addedAt }: Burial, entry: DeadLetter | undefined): boolean =>
  entry === undefined ? addedAt !== undefined : isEntryOf(entry, id, failedEvent)

/** Whether it is this burial that made the entry, and not a repeat's in another job at the same moment. */
const isOurs = ({ failedEvent, addedAt }: Burial, entry: DeadLetter | undefined): boolean =>
  addedAt !== undefined &&
  (entry === undefined || (entry.dead_at === addedAt && entry.source_job_id === failedEvent.sourceJobId))

/** Of these events, those that this job buried (sourceJobIdOf), and that are dead letters still. */
export async function findBuried(
  queue: BurialQueue,
  events: readonly StatusEvent[],
  sourceJobId: string | null,
): Promise<Set<StatusEvent>> {
  const isOfJob = (entry: DeadLetter) => entry.source_job_id === sourceJobId
  const dead = await findDead(queue, events.map(identityOf), isOfJob)
  return new Set([...dead].map(({ event }) => event))
}

async function findDead<Dead extends Identity>(
  queue: BurialQueue,
  identities: readonly Dead[],
  counts: (entry: DeadLetter) => boolean = () => true,
): Promise<Set<Dead>> {
  const places = identities.flatMap((identity) => entryIdsOf(identity).map((id) => ({ id, identity })))
  const found = await findEntries(
    queue,
    places.map(({ id }) => id),
  )
  const dead = places.filter(({ id, identity }) => {
    const entry = found.get(id)
    return entry !== undefined && counts(entry) && isEntryOf(entry, id, identity)
  })
  return new Set(dead.map(({ identity }) => identity))
}

const isEntryOf = (entry: DeadLetter | undefined, id: string, identity: Identity): boolean =>
  entry !== undefined && (isSameEvent(entry, identity) || id === idWithContent(identity))

/** Whether a repeat of what is dead already has died; an entry may have lost its owner in between. */
function isSameEvent(entry: DeadLetter, { event, contentHash }: Identity): boolean {
  // An unreadable one may name the key, as a producer does who sends it again, mended: that is another content.
  if (contentHash) return !isUnreadable(entry) && eventFields(entry.event).contentHash === contentHash
  const found = contentOf(entry.event)
  return found === contentOf(event) || found === contentOf(redactEvent(event))
}

/** Not one that PostgreSQL refused: that has PostgreSQL's code. */
const isUnreadable = ({ reason, error }: DeadLetter) =>
  reason === 'invalid_event' && error.code === 'invalid_event'

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

/** An id that is taken keeps its entry. @returns the time of death that the others have. */
async function addEntries(queue: BurialQueue, burials: readonly Burial[]): Promise<string> {
  const deadAt = new Date().toISOString()
  if (burials.length === 0) return deadAt
  await queue.addBulk(
    burials.map(({ failedEvent, id }) => ({
      name: DEAD_LETTER_JOB,
      data: {
        event: failedEvent.event,
        reason: failedEvent.reason,
        error: failedEvent.error,
        fingerprint: fingerprintOf(failedEvent.reason, failedEvent.error),
        attempts: failedEvent.attempts,
        history: [...(failedEvent.history ?? [])],
        first_failed_at: failedEvent.firstFailedAt.toISOString(),
        dead_at: deadAt,
        source_job_id: failedEvent.sourceJobId,
        redrives: failedEvent.redrives,
      },
      opts: { ...DEAD_LETTER_JOB_OPTIONS, jobId: id },
    })),
  )
  return deadAt
}

/**
 * `dead-<event id>`. A conflict shares its id with a stored event, and may share it with other conflicts:
 * its content's digest keeps them apart.
 */
function deadLetterId(failedEvent: FailedEvent): string {
  return isKeyedConflict(failedEvent) ? idWithContent(failedEvent) : plainId(failedEvent)
}

export const plainId = ({ eventId }: Identity) => `dead-${eventId}`

/** Where the dead letter of the event is, if it has one: in the place that it has nearly always, or in its other one. */
export const entryIdsOf = (identity: Identity) => [plainId(identity), idWithContent(identity)]

const isKeyedConflict = ({ reason, contentHash }: FailedEvent) =>
  reason === 'conflict' && contentHash !== undefined

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
