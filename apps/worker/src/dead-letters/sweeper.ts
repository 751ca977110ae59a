import type { StoredContent } from '@tidings/db/events/status-events'
import { classifyFailure } from '@tidings/db/failure'
import type { JobQueue } from '@tidings/queue/backend'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { isStored } from '@tidings/queue/dead-letters/entry'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { errorMessage } from '@tidings/shared/errors'
import type { Job } from 'bullmq'
import { toFailedEvents } from './failed-events.ts'

export interface SweeperOptions {
  queues: readonly JobQueue<unknown>[]
  bury(failedEvents: readonly FailedEvent[]): Promise<void>
  findStored(eventIds: readonly string[]): Promise<StoredContent>
  /** Runs the work in one process at a time. Resolves to false, without a run, while another process is sweeping. */
  exclusively(work: () => Promise<void>): Promise<boolean>
  /** Called after each sweep, for other work that is due every few seconds. */
  afterSweep?(): Promise<void>
  onBuried(reason: string): void
  /** Called after a sweep that buried events, with their number. */
  onSwept?(buried: number, startedAt: Date): void
  log: Logger
  /** Time between two sweeps, in milliseconds. */
  intervalMs?: number | undefined
}

/** Failed jobs listed at once. */
const PAGE = 50
const SWEEP_INTERVAL_MS = 3_000

/**
 * Turns the events of failed jobs into dead letters: every few seconds, and soon after each request. The failed set is
 * the durable record. If a worker exits between a job's failure and its burial, the next sweep finds the job there.
 */
export class Sweeper {
  readonly #options: SweeperOptions
  readonly #warn: (error: unknown) => void
  readonly #timer: NodeJS.Timeout
  #running: Promise<number> | undefined
  #requested = false
  #closed = false

  constructor(options: SweeperOptions) {
    this.#options = options
    // While Redis is full, every burial fails at every sweep.
    this.#warn = throttledWarning(options.log, 'sweep')
    this.#timer = setInterval(() => this.request(), options.intervalMs ?? SWEEP_INTERVAL_MS)
  }

  /** Requests a sweep soon. Several requests make one sweep. */
  request(): void {
    if (this.#closed || this.#requested) return
    this.#requested = true
    void this.#sweepWhenIdle()
  }

  /** Sweeps once, now, or joins the running sweep. @returns the number of events buried. */
  sweep(): Promise<number> {
    this.#running ??= this.#sweepAll().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Ends a running sweep after the job in hand. The next sweep, of any process, finds the others. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#running?.catch(() => 0)
  }

  async #sweepWhenIdle(): Promise<void> {
    await this.#running?.catch(() => 0)
    this.#requested = false
    try {
      if (!this.#closed) await this.sweep()
    } catch (error) {
      if (classifyFailure(error) !== 'outage') this.#warn(error)
    }
  }

  async #sweepAll(): Promise<number> {
    const { queues, exclusively, onSwept, afterSweep } = this.#options
    const startedAt = new Date()
    let buried = 0
    const failedJobs = await Promise.all(queues.map((queue) => queue.getFailedCount()))
    if (failedJobs.some((jobs) => jobs > 0)) {
      await exclusively(async () => {
        for (const queue of queues) buried += await this.#sweepQueue(queue)
      })
      if (buried > 0) onSwept?.(buried, startedAt)
    }
    if (!this.#closed) await afterSweep?.()
    return buried
  }

  async #sweepQueue(queue: JobQueue<unknown>): Promise<number> {
    let buried = 0
    let left = 0
    for (;;) {
      const ids = await queue.getRanges(['failed'], left, left + PAGE - 1)
      if (ids.length === 0) return buried
      for (const id of ids) {
        if (this.#closed) return buried
        const result = await this.#buryOrLeave(queue, id)
        if (result === 'left') left++
        else buried += result
      }
    }
  }

  /**
   * Buries a job. A job that cannot be read or buried stays failed, and the sweep goes on.
   *
   * @returns the number of events buried, or `left` when the job stays.
   * @throws when PostgreSQL is unreachable: then no job can be buried.
   */
  async #buryOrLeave(queue: JobQueue<unknown>, id: string): Promise<number | 'left'> {
    try {
      const job = await queue.getJob(id)
      return job === undefined ? 'left' : await this.#buryJob(job)
    } catch (error) {
      if (classifyFailure(error) === 'outage') throw error
      this.#warn(new Error(`job ${id} not buried, stays failed: ${errorMessage(error)}`, { cause: error }))
      return 'left'
    }
  }

  /** Buries each event of a failed job that is not stored, then removes the job. In that order. */
  async #buryJob(job: Job): Promise<number> {
    const { findStored, bury, onBuried, log } = this.#options
    const failedEvents = toFailedEvents(job)
    const rows = await findStored(failedEvents.map(({ eventId }) => eventId))
    const unstored = failedEvents.filter((failed) => !isStored(failed, rows))
    await bury(unstored)
    // Not its children, which a foreign producer may have added: each of them is a separate job.
    await job.remove({ removeChildren: false })
    for (const { reason } of unstored) onBuried(reason)
    const alreadyStored = failedEvents.length - unstored.length
    log.warn({ jobId: job.id, events: unstored.length, alreadyStored }, 'failed job buried')
    return unstored.length
  }
}
