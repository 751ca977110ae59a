import type { EventReference, StoredContent } from '@tidings/db/events/stored-content'
import { classifyFailure } from '@tidings/db/failure'
import type { JobQueue } from '@tidings/queue/backend'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { isStored, toReference } from '@tidings/queue/dead-letters/entry'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { errorMessage } from '@tidings/shared/errors'
import type { Job } from 'bullmq'
import { toFailedEvents } from './failed-events.ts'

export interface SweeperOptions {
  queues: readonly JobQueue<unknown>[]
  /** Fails when the store of one queue takes too long, so that the others are swept. By default it waits. */
  unlessAway?<Answer>(asked: Promise<Answer>): Promise<Answer>
  /** See digestRecipient. */
  recipientKey: string
  bury(failedEvents: readonly FailedEvent[]): Promise<void>
  findStored(events: readonly EventReference[]): Promise<StoredContent>
  /** Runs `work` when no other process sweeps. Otherwise it resolves to false and does nothing. */
  exclusively(work: () => Promise<void>): Promise<boolean>
  /**
   * Called after every sweep that does not throw, in each process, even when another process held the lock, with the
   * queues whose store answered.
   */
  afterSweep?(answering: readonly JobQueue<unknown>[]): Promise<void>
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
 * Turns the events of failed jobs into dead letters, every few seconds and soon after each call of `request`. BullMQ
 * keeps failed jobs in its failed set, so that the next sweep finds a job after a crash.
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
    // Limit the warnings: a full Redis makes every burial fail in every sweep.
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

  /** Stops a running sweep after its current job. A later sweep buries the remaining jobs. */
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
    const { exclusively, onSwept, afterSweep } = this.#options
    const startedAt = new Date()
    let buried = 0
    const answering = await this.#countFailed()
    const failing = answering.filter(({ jobs }) => jobs > 0)
    if (failing.length > 0) {
      await exclusively(async () => {
        for (const { queue } of failing) buried += await this.#sweepQueue(queue)
      })
      if (buried > 0) onSwept?.(buried, startedAt)
    }
    if (!this.#closed) await afterSweep?.(answering.map(({ queue }) => queue))
    return buried
  }

  /** The failed jobs of each queue whose store answers. @throws the first error when none does. */
  async #countFailed(): Promise<{ queue: JobQueue<unknown>; jobs: number }[]> {
    const { queues, unlessAway = (asked) => asked } = this.#options
    const counts = await Promise.allSettled(queues.map((queue) => unlessAway(queue.getFailedCount())))
    const errors = counts.flatMap((count) => (count.status === 'rejected' ? [count.reason] : []))
    if (errors.length === queues.length) throw errors[0]
    for (const error of errors) this.#warn(error)
    return queues.flatMap((queue, index) => {
      const count = counts[index]
      return count?.status === 'fulfilled' ? [{ queue, jobs: count.value }] : []
    })
  }

  async #sweepQueue(queue: JobQueue<unknown>): Promise<number> {
    let buried = 0
    // Buried jobs leave the list, so the offset counts only the jobs that stay.
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
   * @returns the number of events buried, or `left` when the job stays or does not exist any more.
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

  /** Buries the events of the job that are not stored, then removes the job: in this order a crash loses no event. */
  async #buryJob(job: Job): Promise<number> {
    const { findStored, bury, onBuried, log, recipientKey } = this.#options
    const failedEvents = toFailedEvents(job, recipientKey)
    const rows = await findStored(failedEvents.map(toReference))
    const unstored = failedEvents.filter((failed) => !isStored(failed, rows))
    await bury(unstored)
    // Keep the job's children: each child that a foreign producer added is a separate job.
    await job.remove({ removeChildren: false })
    for (const { reason } of unstored) onBuried(reason)
    const alreadyStored = failedEvents.length - unstored.length
    log.debug({ jobId: job.id, events: unstored.length, alreadyStored }, 'failed job buried')
    return unstored.length
  }
}
