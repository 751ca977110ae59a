import type { Database } from '@tidings/db/database'
import { claimMessages, markQueued } from '@tidings/db/users/claim-messages'
import { withDeadline } from '@tidings/runtime/deadline'
import type { OutboundJob, OutboundKind } from '@tidings/shared/outbound-message'
import type { OutboundOutcome } from './outbound-metrics.ts'
import { toJob } from './to-job.ts'

export interface RelayOptions {
  db: Database
  /** Where the pages of the links are. */
  linkBaseUrl: string
  publish(jobs: readonly OutboundJob[]): Promise<void>
  /** Takes jobs off the queue. */
  remove(ids: readonly string[]): Promise<unknown>
  /** False while the queue's store takes no writes. Publishing would wait for it, and the claims would run out. */
  isQueueWritable(): boolean
  count(kind: OutboundKind, outcome: OutboundOutcome): void
  onError(error: unknown): void
  /** Time between two looks for new messages, in milliseconds. */
  pollIntervalMs?: number | undefined
}

const POLL_INTERVAL_MS = 1_000
const BATCH = 100
/** Shorter than a claim, which lasts 30 s, and than the time that a release may take. */
const PUBLISH_LIMIT_MS = 4_000

/**
 * Puts pending messages on the queue: claims them, publishes their jobs, and marks them as queued. A relay that is
 * killed in between leaves claims that run out. Another relay then publishes the messages again, and the queue ignores
 * a job whose id it has.
 */
export class OutboundRelay {
  readonly #options: RelayOptions
  readonly #running: Promise<void>
  /** Published, and not marked yet. */
  #published: OutboundJob[] = []
  #isClosed = false
  #wake = () => {}

  constructor(options: RelayOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  /** Finishes the current batch. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#wake()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      await this.#drain().catch(this.#options.onError)
      await this.#pause()
    }
  }

  /** Waits for the next poll, or until close() is called. */
  #pause(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#options.pollIntervalMs ?? POLL_INTERVAL_MS)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  async #drain(): Promise<void> {
    await this.#markPublished()
    while (!this.#isClosed && this.#options.isQueueWritable()) {
      if ((await this.#relayBatch()) < BATCH) return
    }
  }

  /** @returns the number of messages that were pending. */
  async #relayBatch(): Promise<number> {
    const { db, linkBaseUrl, publish, count } = this.#options
    const unsent: Parameters<typeof count>[] = []
    const claimed = await claimMessages(db, BATCH, (...counted) => unsent.push(counted))
    for (const counted of unsent) count(...counted)
    if (claimed.length > 0) {
      const jobs = claimed.map((message) => toJob(message, linkBaseUrl))
      await withDeadline(publish(jobs), PUBLISH_LIMIT_MS, tooLate)
      this.#published = jobs
      await this.#markPublished()
    }
    return claimed.length + unsent.length
  }

  /** Tried again at the next poll when PostgreSQL is away: otherwise the messages would be published again. */
  async #markPublished(): Promise<void> {
    if (this.#published.length === 0) return
    const { db, remove, count } = this.#options
    const wanted = new Set(
      await markQueued(
        db,
        this.#published.map(({ id }) => id),
      ),
    )
    const unwanted = this.#published.filter(({ id }) => !wanted.has(id))
    await remove(unwanted.map(({ id }) => id))
    for (const { id, kind } of this.#published) count(kind, wanted.has(id) ? 'queued' : 'dropped')
    this.#published = []
  }
}

const tooLate = () => new Error('The queue does not answer.')
