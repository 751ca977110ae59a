import { randomInt } from 'node:crypto'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { itemsOf, parseEnvelope, toRemainingData } from '@tidings/queue/envelope'
import type { StatusEvent } from '@tidings/shared/status-event'
import type { Job } from 'bullmq'
import type { BatchWriter, WriteError, WriteResult } from './batch-writer.ts'
import { lookUp, nextLookMs, type Resolve } from './resolve-unresolved.ts'
import {
  assertLockHeld,
  delayForOutage,
  delayOnFailure,
  delayWithoutAttempt,
  type LockedJob,
  type ReturnOptions,
} from './return-job.ts'
import { sortOutcomes } from './sort-outcomes.ts'

export interface EnvelopeContext extends ReturnOptions {
  writer: BatchWriter
  resolve: Resolve
  /** How long an event waits for another that names its notification, in milliseconds. */
  unresolvedWaitMs: number
  /** Called with the number of events in each job. */
  onParsed(events: number): void
  /** Writes dead letters; resolves when all are durable. Safe to repeat. */
  bury(failedEvents: readonly FailedEvent[]): Promise<void>
  count: EventCounters
  suspectLock: SuspectLock
  /** See digestRecipient. */
  recipientKey: string
  /** How long a job that a newer version wrote waits for a newer worker before it is a dead letter, in milliseconds. */
  newerVersionWaitMs: number
  /** Called each time a job waits because a newer version wrote it. */
  onNewerVersion(version: number): void
}

/** Lets one suspect job run at a time in this process. */
export interface SuspectLock {
  isHeld: boolean
}

/** Counts events by outcome, for the metrics and for `tidings doctor`. */
export interface EventCounters {
  stored(events: number): void
  duplicate(events: number): void
  dead(reason: string): void
  retried(events: number): void
}

/** A job that stalled this often is a suspect: one of its events may make workers exit. One stall may be chance. */
const SUSPECT_AFTER_STALLS = 2
/** The longest time before a suspect tries to get the suspect lock again, in milliseconds. */
const SUSPECT_DELAY_MS = 1_000

/** The time between two looks at a job of a newer version, in milliseconds. It grows up to MAX_LOOK_FACTOR times. */
const LOOK_AGAIN_MS = 10_000
const MAX_LOOK_FACTOR = 6

/** Some events of a job are to be tried again. The message is for people; the job's data holds the events. */
export class RetryEventsError extends Error {
  constructor(events: number, first: WriteError) {
    super(`${events} event(s) not stored: ${first.code} ${first.message}`)
    this.name = 'RetryEventsError'
  }
}

/**
 * Runs one job: stores its events, dead-letters those that can never be stored, and leaves the others in the job. It
 * returns, and BullMQ removes the job, only after every event is a row or a dead letter.
 *
 * @throws DelayedError during an outage, while a store is full, while another suspect runs, while a newer version is
 *   waited for, or while no event names the notification of another: it is back in the queue and no attempt is counted
 * @throws RetryEventsError when some events failed this time: BullMQ counts an attempt
 * @throws JobLockLostError when another worker has the job
 */
export async function processEnvelope(
  job: Job,
  token: string | undefined,
  context: EnvelopeContext,
): Promise<void> {
  const locked = { job, token }
  if (job.stalledCounter < SUSPECT_AFTER_STALLS)
    return settleEnvelope(locked, context, (events) => context.writer.write(events))
  // This job was running when several workers exited. Suspects run one at a time, so that an exit counts against one
  // suspect only. Other suspects wait in the queue, where no stall is counted.
  if (context.suspectLock.isHeld) return delayWithoutAttempt(locked, randomInt(SUSPECT_DELAY_MS))
  context.suspectLock.isHeld = true
  try {
    await settleEnvelope(locked, context, (events) => writeOneByOne(events, job, context.writer))
  } finally {
    context.suspectLock.isHeld = false
  }
}

async function settleEnvelope(
  locked: LockedJob,
  context: EnvelopeContext,
  write: (events: StatusEvent[]) => Promise<WriteResult[]>,
): Promise<void> {
  const { job } = locked
  const parsed = parseEnvelope(job, context.recipientKey)
  if (parsed.newerVersion !== undefined) await waitForNewerWorker(locked, parsed.newerVersion, context)
  context.onParsed(parsed.events.length + parsed.unresolved.length)
  const look = await lookUp(parsed.unresolved, context.resolve)
  const events = look.resolved.length === 0 ? parsed.events : [...parsed.events, ...look.resolved]
  const results = look.failure?.outcome === 'outage' ? [look.failure] : await write(events)

  const outage = results.find((result) => result.outcome === 'outage')
  if (outage?.outcome === 'outage') {
    context.onOutage(outage.error)
    return delayForOutage(locked, context)
  }
  countRows(results, context.count)

  const lookAgainMs = nextLookMs(look, parsed.unresolvedSince, context.unresolvedWaitMs)
  const isWaiting = lookAgainMs !== undefined
  const { failedEvents, retries, failures } = sortOutcomes(job, parsed, { events, results, look, isWaiting })
  if (failedEvents.length > 0) {
    await delayOnFailure(
      async () => {
        await assertLockHeld(locked)
        await context.bury(failedEvents)
      },
      locked,
      context,
    )
    for (const { reason } of failedEvents) context.count.dead(reason)
  }

  const left = isWaiting ? [...retries, ...look.unknown] : retries
  if (left.length === 0) return
  const isUnchanged = retries.length === 0 && left.length === itemsOf(job.data).length
  if (!isUnchanged || parsed.unresolvedSince === undefined) {
    const since = isWaiting ? (parsed.unresolvedSince ?? new Date()) : parsed.unresolvedSince
    // Save them before BullMQ counts the attempt: a crash in between repeats work and loses no event.
    await delayOnFailure(() => job.updateData(toRemainingData(left, failures, since)), locked, context)
  }
  context.count.retried(retries.length)
  if (isWaiting) return delayWithoutAttempt(locked, lookAgainMs)
  const [firstError = { code: 'unknown', message: '' }] = Object.values(failures).map((of) => of.at(-1))
  throw new RetryEventsError(retries.length, firstError)
}

/** @throws DelayedError while the job is young */
async function waitForNewerWorker(
  locked: LockedJob,
  version: number,
  context: EnvelopeContext,
): Promise<void> {
  const { timestamp, attemptsStarted } = locked.job
  // Negative, or not a number, for a producer's time that is unusable, such as one in nanoseconds.
  const leftMs = context.newerVersionWaitMs - Math.abs(Date.now() - timestamp)
  if (!(leftMs > 0)) return
  context.onNewerVersion(version)
  const delayMs = Math.min(leftMs, LOOK_AGAIN_MS * Math.min(attemptsStarted, MAX_LOOK_FACTOR))
  await delayWithoutAttempt(locked, Math.ceil(delayMs))
}

function countRows(results: readonly WriteResult[], count: EventCounters): void {
  count.stored(results.filter((result) => result.outcome === 'stored').length)
  count.duplicate(results.filter((result) => result.outcome === 'duplicate').length)
}

/**
 * Writes each event in its own statement. The direction turns after each stall: one run stores the events before the
 * one that makes workers exit, the next run those after it.
 */
async function writeOneByOne(events: StatusEvent[], job: Job, writer: BatchWriter): Promise<WriteResult[]> {
  const backwards = job.stalledCounter % 2 === 1
  const results: WriteResult[] = []
  for (const event of backwards ? events.toReversed() : events) {
    const last = results.at(-1)
    // After an outage, the other events would only meet the same outage, each after its own timeout.
    results.push(last?.outcome === 'outage' ? last : await writer.writeAlone(event))
  }
  return backwards ? results.toReversed() : results
}
