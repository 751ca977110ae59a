import { isStoredAs } from '@tidings/db/events/status-events'
import { classifyFailure } from '@tidings/db/failure'
import type { JobQueue } from '@tidings/queue/backend'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { parseEnvelope, sourceJobIdOf } from '@tidings/queue/envelope'
import { MAX_STALLED_COUNT } from '@tidings/queue/policy'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { errorMessage } from '@tidings/shared/errors'
import type { Job } from 'bullmq'
import type { Bury } from './bury.ts'
import type { Reconciler } from './reconciler.ts'

/**
 * Makes dead letters of failed jobs. The failed set is the durable truth: whatever dies between a job's
 * failure and its burial, the next sweep finds the job still there.
 */
export interface Sweeper {
  /** Asks for a sweep soon; asking often is one sweep. */
  request(): void
  /** One sweep, now. @returns how many events were buried. */
  sweep(): Promise<number>
  /** Waits for the job in hand, not for all that there is to do: the next sweeper finds the rest. */
  close(): Promise<void>
}

export interface SweeperOptions {
  queues: readonly JobQueue<unknown>[]
  bury: Bury
  reconciler: Pick<Reconciler, 'check' | 'walkIfDue'>
  /** Of these event ids, those that are rows, each with the digest of its content if it has one. */
  findStored(ids: readonly string[]): Promise<ReadonlyMap<string, string | undefined>>
  /** Books events found already stored or dead; resolves when that is durable. */
  bookRepeats(repeats: { duplicate: number; redelivered: number }): Promise<void>
  /** Runs the work in one process at a time; false when another one is at it. */
  exclusively(work: () => Promise<void>): Promise<boolean>
  /** Puts parked events on the queue; resolves to how many. */
  unpark(): Promise<number>
  onBuried(reason: string): void
  /** Called after a sweep that buried something, with how many events. */
  onSwept?(buried: number, startedAt: Date): void
  log: Logger
  intervalMs?: number
}

const PAGE = 50

export function createSweeper(options: SweeperOptions): Sweeper {
  const { queues, intervalMs = 3_000 } = options
  // A full Redis keeps every failed job from its burial, at every sweep.
  const warn = throttledWarning(options.log, 'sweep')
  let running: Promise<number> | undefined
  let again = false
  let closed = false

  async function sweep(): Promise<number> {
    let buried = 0
    const startedAt = new Date()
    const failed = await Promise.all(queues.map((queue) => queue.getFailedCount()))
    if (failed.some((jobs) => jobs > 0)) {
      await options.exclusively(async () => {
        for (const queue of queues) buried += await sweepQueue(queue, options, warn, () => closed)
      })
      if (buried > 0) options.onSwept?.(buried, startedAt)
    }
    while (!closed && (await options.unpark()) > 0);
    options.reconciler.walkIfDue()
    return buried
  }

  function sweepOnce(): Promise<number> {
    running ??= sweep().finally(() => {
      running = undefined
    })
    return running
  }

  function request() {
    if (closed || again) return
    again = true
    void (async () => {
      await running?.catch(() => 0)
      again = false
      try {
        if (!closed) await sweepOnce()
      } catch (error) {
        // Next time: the failed set keeps everything.
        if (classifyFailure(error) !== 'outage') warn(error)
      }
    })()
  }

  const timer = setInterval(request, intervalMs)
  return {
    request,
    sweep: sweepOnce,
    async close() {
      closed = true
      clearInterval(timer)
      await running?.catch(() => 0)
    },
  }
}

type Warn = (error: unknown) => void

async function sweepQueue(
  queue: JobQueue<unknown>,
  options: SweeperOptions,
  warn: Warn,
  isClosed: () => boolean,
): Promise<number> {
  let buried = 0
  let left = 0
  for (;;) {
    const jobs = await queue.getFailed(left, left + PAGE - 1)
    if (jobs.length === 0) return buried
    for (const job of jobs) {
      if (isClosed()) return buried
      const result = job === undefined ? 'left' : await buryOrLeave(job, options, warn)
      if (result === 'left') left++
      else buried += result
    }
  }
}

/**
 * A job that cannot be buried stays where it is, and keeps no other from its burial.
 *
 * @throws when PostgreSQL is away: then none can be.
 */
async function buryOrLeave(job: Job, options: SweeperOptions, warn: Warn): Promise<number | 'left'> {
  try {
    return await buryJob(job, options)
  } catch (error) {
    if (classifyFailure(error) === 'outage') throw error
    warn(new Error(`job ${job.id} is not buried, stays failed: ${errorMessage(error)}`, { cause: error }))
    return 'left'
  }
}

/** Buries each event of a failed job that is not a row, then removes the job. In that order. */
async function buryJob(job: Job, options: SweeperOptions): Promise<number> {
  const failedEvents = toFailedEvents(job)
  const stored = await options.findStored(failedEvents.map((failedEvent) => failedEvent.eventId))
  // A row with other content is not this event's: it is a conflict that nobody came to judge.
  const isRow = ({ eventId, reason, contentHash }: FailedEvent) =>
    reason !== 'invalid_event' && isStoredAs(stored, eventId, contentHash)
  const rows = failedEvents.filter(isRow)
  const dead = failedEvents.filter((failedEvent) => !isRow(failedEvent))
  const alreadyDead = await options.bury(dead)
  await options.reconciler.check(rows)
  const repeats = rows.length + alreadyDead
  // It was tried before: whether the rows are of this job or of another, nobody knows any more.
  if (repeats > 0) await options.bookRepeats({ duplicate: 0, redelivered: repeats })
  // Of a job with children only itself: they are jobs of their own.
  await job.remove({ removeChildren: false })
  for (const failedEvent of dead) options.onBuried(failedEvent.reason)
  options.log.warn({ jobId: job.id, events: dead.length, alreadyStored: rows.length }, 'failed job buried')
  return dead.length
}

function toFailedEvents(job: Job): FailedEvent[] {
  const { events, invalid, failures } = parseEnvelope(job)
  const stalled = job.stalledCounter > MAX_STALLED_COUNT
  const base = {
    // Each start of a stalled job ended in a death; the start that found the limit reached ran nothing.
    attempts: stalled ? job.stalledCounter : job.attemptsMade,
    sourceJobId: sourceJobIdOf(job),
  }
  const failedAt = new Date(job.finishedOn ?? job.timestamp)
  const jobError = { code: stalled ? 'stalled' : 'failed', message: job.failedReason ?? 'The job failed.' }
  return [
    ...events.map((event): FailedEvent => {
      const history = failures[event.id] ?? []
      const last = history.at(-1)
      return {
        ...base,
        eventId: event.id,
        event,
        reason: stalled ? 'stalled' : 'retries_exhausted',
        error: last && !stalled ? { code: last.code, message: last.message } : jobError,
        history,
        firstFailedAt: history[0] ? new Date(history[0].at) : failedAt,
        contentHash: event.content_hash,
        redrives: event.redrives ?? 0,
      }
    }),
    ...invalid.map(
      (event): FailedEvent => ({
        ...base,
        eventId: event.id,
        event: event.raw,
        reason: 'invalid_event',
        error: { code: 'invalid_event', message: event.message },
        firstFailedAt: failedAt,
        redrives: event.redrives,
      }),
    ),
  ]
}
