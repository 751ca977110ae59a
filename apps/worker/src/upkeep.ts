import type { Database } from '@tidings/db/database'
import { removeExpiredKeys } from '@tidings/db/events/event-keys'
import { createPartitionsAhead } from '@tidings/db/events/partitions'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'

export interface UpkeepOptions {
  db: Database
  /** How long an event's key is kept after it was received. */
  deduplicationDays: number
  log: Logger
}

const DAY_MS = 86_400_000
/** After a failure, such as a transaction that holds the default partition. */
const RETRY_MS = 60_000

/**
 * Keeps the tables of events in shape, at the start and once a day: creates the partitions of the next months, and
 * removes keys that are older than the deduplication window. Every worker does it; both are safe at once.
 */
export class Upkeep {
  readonly #options: UpkeepOptions
  readonly #closing = new AbortController()
  readonly #warn: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void>

  constructor(options: UpkeepOptions) {
    this.#options = options
    this.#warn = throttledWarning(options.log, 'upkeep of partitions and keys')
    this.#running = this.#run()
  }

  /** Resolves when the run that is due now has ended. */
  get idle(): Promise<void> {
    return this.#running
  }

  /** Stops a running upkeep after its current statement. */
  async close(): Promise<void> {
    this.#closing.abort()
    clearTimeout(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
    let waitMs = DAY_MS
    try {
      await this.#keepUp()
    } catch (error) {
      this.#warn(error)
      waitMs = RETRY_MS
    }
    if (this.#closing.signal.aborted) return
    this.#timer = setTimeout(() => {
      this.#running = this.#run()
    }, waitMs)
    this.#timer.unref()
  }

  async #keepUp(): Promise<void> {
    const { db, deduplicationDays, log } = this.#options
    const now = new Date()
    const partitions = await createPartitionsAhead(db, now)
    if (partitions.length > 0) log.info({ partitions }, 'partitions created')
    const expired = new Date(now.getTime() - deduplicationDays * DAY_MS)
    const keys = await removeExpiredKeys(db, expired, this.#closing.signal)
    if (keys > 0) log.info({ keys }, 'expired keys removed')
  }
}
