import { setTimeout as sleep } from 'node:timers/promises'
import { classifyFailure, sqlState } from '@tidings/db/failure'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { type InvalidEvent, parseEnvelope, sourceJobIdOf } from '@tidings/queue/envelope'
import { LOCK_DURATION_MS } from '@tidings/queue/policy'
import type { FailedAttempt } from '@tidings/shared/dead-letter'
import { errorMessage } from '@tidings/shared/errors'
import type { StatusEvent } from '@tidings/shared/status-event'
import { DelayedError, type Job } from 'bullmq'
import type { Bury } from '../dead-letters/bury.ts'
import type { BatchWriter, WriteError, WriteResult } from './batch-writer.ts'

export interface EnvelopeContext {
  writer: BatchWriter
  /** Told how many events a job held. */
  onOpened(events: number): void
  bury: Bury
  /** Of these events, those that a former run of this job buried. */
  findBuried(events: readonly StatusEvent[], sourceJobId: string | null): Promise<ReadonlySet<StatusEvent>>
  /** Told of events that are rows: some may have died before. */
  onRows(events: readonly StatusEvent[]): void
  /** Books events found already stored; resolves when that is durable. */
  bookRepeats(repeats: { duplicate: number; redelivered: number }): Promise<void>
  /** Called when the store was found away. */
  onOutage(error: WriteError): void
  /** Called when what became of events cannot be noted, for another reason than that. */
  onSettleError(error: unknown): void
  count: EventCounters
  quarantine: Quarantine
}

/** Room for one job that has taken workers down. */
export interface Quarantine {
  occupied: boolean
}

/** Counters for metrics. */
export interface EventCounters {
  stored(events: number): void
  duplicate(events: number): void
  dead(reason: string): void
  retried(events: number): void
}

/** How long a job waits that came while a store was away or full, in milliseconds. */
const OUTAGE_DELAY_MS = 1_000
const MAX_STUCK_FACTOR = 10
/** One death may be chance; a job that was there at two is suspect. */
const SUSPECT_AFTER_STALLS = 2
/** How long a suspect waits for the quarantine, in milliseconds, at most. */
const QUARANTINE_DELAY_MS = 1_000

const NONE: ReadonlySet<StatusEvent> = new Set()

/** Some events of a job are to be tried again. Its message is for people; the job's data says which events. */
export class RetryEventsError extends Error {
  constructor(events: number, first: WriteError) {
    super(`${events} event(s) not stored: ${first.code} ${first.message}`)
    this.name = 'RetryEventsError'
  }
}

/** Another worker has the job. BullMQ makes nothing of the failure: the lock is not ours. */
export class JobLockLostError extends Error {
  constructor() {
    super('the job was taken over by another worker')
    this.name = 'JobLockLostError'
  }
}

/**
 * Runs one job: stores its events, buries those that never can be, and leaves in the job only those that may
 * yet be. It returns, and so the job is removed, only after every event is a row or a dead letter.
 *
 * @throws DelayedError while a store is away or full (the job is back in the queue, no attempt is counted)
 * @throws RetryEventsError when some events failed for now (BullMQ counts the attempt)
 */
export async function processEnvelope(
  job: Job,
  token: string | undefined,
  context: EnvelopeContext,
): Promise<void> {
  if (job.stalledCounter < SUSPECT_AFTER_STALLS) {
    return settleEnvelope(job, token, context, (events) => context.writer.write(events))
  }
  // Several workers' deaths on record: this job may hold an event that kills. Suspects run one at a time, so
  // that a death adds to the record of the killer alone; the others wait in the queue, where none is added.
  if (context.quarantine.occupied) return delayWithoutAttempt(job, token, QUARANTINE_DELAY_MS * Math.random())
  context.quarantine.occupied = true
  try {
    await settleEnvelope(job, token, context, (events) => writeOneByOne(events, job, context.writer))
  } finally {
    context.quarantine.occupied = false
  }
}

/**
 * Does what tells the world of what became of events. When that fails, as it does with a full Redis, it is no event's
 * fault: the job comes again, and no attempt is counted.
 */
async function delayOnFailure<Result>(
  work: () => Promise<Result>,
  job: Job,
  token: string | undefined,
  context: EnvelopeContext,
): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof JobLockLostError) throw cause
    if (classifyFailure(cause) === 'outage') {
      context.onOutage({ code: sqlState(cause) ?? 'unknown', message: errorMessage(cause) })
      return delayWithoutAttempt(job, token, OUTAGE_DELAY_MS)
    }
    context.onSettleError(
      new Error(`job ${job.id} is not settled, comes again: ${errorMessage(cause)}`, { cause }),
    )
    // Nobody says when that will end: the longer it goes on, the less often it is tried.
    return delayWithoutAttempt(job, token, OUTAGE_DELAY_MS * Math.min(job.attemptsStarted, MAX_STUCK_FACTOR))
  }
}

/**
 * A worker that was frozen, or cut off, for longer than the lock lasts is taken for dead, and another one has the job.
 * What that one buried may have been redriven and stored since: to bury it once more would make it both.
 *
 * @throws JobLockLostError
 */
async function assertLockHeld(job: Job, token: string | undefined): Promise<void> {
  if ((await job.extendLock(token ?? '', LOCK_DURATION_MS)) !== 1) throw new JobLockLostError()
}

/** Puts the job back without counting an attempt. Always throws. */
async function delayWithoutAttempt(job: Job, token: string | undefined, delayMs: number): Promise<never> {
  for (;;) {
    try {
      await job.moveToDelayed(Date.now() + delayMs, token)
      break
    } catch (error) {
      // The queue may be in the PostgreSQL that is away: any other way to end this run counts an attempt.
      if (classifyFailure(error) !== 'outage') throw error
      await sleep(OUTAGE_DELAY_MS)
    }
  }
  throw new DelayedError()
}

async function settleEnvelope(
  job: Job,
  token: string | undefined,
  context: EnvelopeContext,
  write: (events: StatusEvent[]) => Promise<WriteResult[]>,
): Promise<void> {
  const settle = <Result>(work: () => Promise<Result>) => delayOnFailure(work, job, token, context)
  const opened = parseEnvelope(job)
  const { invalid, failures } = opened
  context.onOpened(opened.events.length)
  // What a former run buried stays dead, though it might be stored by now: it would be accepted once and found twice.
  // The first run, which nearly always is the only one, buried nothing before.
  const dead =
    job.attemptsStarted > 1 ? await settle(() => context.findBuried(opened.events, sourceJobIdOf(job))) : NONE
  const events = opened.events.filter((event) => !dead.has(event))
  const results = await write(events)

  const away = results.find((result) => result.outcome === 'outage')
  if (away?.outcome === 'outage') {
    context.onOutage(away.error)
    return delayWithoutAttempt(job, token, OUTAGE_DELAY_MS)
  }

  const failedEvents: FailedEvent[] = invalid.map((event) => deathOfInvalid(job, event))
  const retries: StatusEvent[] = []
  const newFailures: Record<string, FailedAttempt[]> = {}
  const at = new Date().toISOString()
  events.forEach((event, index) => {
    const result = results[index]
    if (result?.outcome === 'dead') {
      failedEvents.push({
        ...deathOf(job, result.error, failures[event.id]),
        eventId: event.id,
        event,
        reason: result.reason,
        contentHash: event.content_hash,
        redrives: event.redrives ?? 0,
      })
    } else if (result?.outcome === 'retry') {
      retries.push(event)
      newFailures[event.id] = [...(failures[event.id] ?? []), { at, ...result.error }]
    }
  })

  const isRow = (result: WriteResult | undefined) =>
    result?.outcome === 'stored' || result?.outcome === 'duplicate'
  const duplicates = results.filter((result) => result.outcome === 'duplicate').length
  context.count.stored(results.filter((result) => result.outcome === 'stored').length)
  context.count.duplicate(duplicates)
  context.onRows(events.filter((_, index) => isRow(results[index])))
  await settle(async () => {
    const alreadyDead = await context.bury(failedEvents, () => assertLockHeld(job, token))
    await bookRepeats(duplicates + alreadyDead + dead.size, job, context)
  })
  for (const failedEvent of failedEvents) context.count.dead(failedEvent.reason)

  const [firstRetry] = retries
  if (firstRetry === undefined) return
  // Only what is left is tried again. Written before the attempt is counted: a crash in between repeats
  // work, it loses none.
  await settle(() => job.updateData({ v: 1, events: retries, failures: newFailures }))
  context.count.retried(retries.length)
  const firstError = newFailures[firstRetry.id]?.at(-1)
  throw new RetryEventsError(retries.length, firstError ?? { code: 'unknown', message: '' })
}

/**
 * Each event in a statement of its own, in turn from the front and from the back: what stands before the
 * killer is a row after the one run, what stands behind it after the other.
 */
async function writeOneByOne(events: StatusEvent[], job: Job, writer: BatchWriter): Promise<WriteResult[]> {
  const backwards = job.stalledCounter % 2 === 1
  const results: WriteResult[] = []
  for (const event of backwards ? events.toReversed() : events) {
    const last = results.at(-1)
    // The store is away: the rest would only find out again, each after a wait of its own.
    results.push(last?.outcome === 'outage' ? last : await writer.writeAlone(event))
  }
  return backwards ? results.toReversed() : results
}

function deathOfInvalid(job: Job, event: InvalidEvent): FailedEvent {
  return {
    ...deathOf(job, { code: 'invalid_event', message: event.message }),
    eventId: event.id,
    event: event.raw,
    reason: 'invalid_event',
    redrives: event.redrives,
  }
}

function deathOf(job: Job, error: WriteError, before: readonly FailedAttempt[] = []) {
  const now = new Date()
  return {
    error,
    attempts: job.attemptsMade + 1,
    history: [...before, { at: now.toISOString(), ...error }],
    firstFailedAt: before[0] ? new Date(before[0].at) : now,
    sourceJobId: sourceJobIdOf(job),
  }
}

/** Events that are a row or a dead letter already: accepted again, or brought back by a job seen before. */
async function bookRepeats(repeats: number, job: Job, context: EnvelopeContext): Promise<void> {
  if (repeats === 0) return
  const redelivery = job.attemptsStarted > 1
  await context.bookRepeats(
    redelivery ? { duplicate: 0, redelivered: repeats } : { duplicate: repeats, redelivered: 0 },
  )
}
