import type { RedisConnection } from './open-redis.ts'
import { versionOptions } from './redis-rights.ts'

/** What this module uses of a BullMQ queue. */
interface Openable {
  waitUntilReady(): Promise<unknown>
  close(): Promise<void>
}

export interface ReadyQueuesOptions<Queues extends readonly Openable[]> {
  /** Absent on PostgreSQL. */
  redis: RedisConnection | undefined
  /** Builds the queues. Called again when one of them could not start. */
  open(version: { skipVersionCheck: boolean }): Queues
  onError(error: unknown): void
}

/** Pause before queues that could not start are built again, in milliseconds. */
const REBUILD_DELAY_MS = 250

/**
 * Queues that work. A BullMQ Queue whose first command fails never works again. So this builds the queues on a ready
 * connection only, hands them out only when they are ready themselves, and builds them again until then.
 */
export class ReadyQueues<Queues extends readonly Openable[]> {
  readonly #options: ReadyQueuesOptions<Queues>
  #queues: Queues | undefined
  #isClosing = false

  constructor(options: ReadyQueuesOptions<Queues>) {
    this.#options = options
    const { redis } = options
    redis?.on('ready', () => void this.#build())
    if (!redis) void this.#build()
  }

  /** Undefined until the store was reached for the first time. */
  get opened(): Queues | undefined {
    return this.#queues
  }

  /** The queues, while the store answers. */
  get connected(): Queues | undefined {
    const { redis } = this.#options
    return redis === undefined || redis.status === 'ready' ? this.#queues : undefined
  }

  /** Closes the queues. The caller closes the connection. */
  async close(): Promise<void> {
    this.#isClosing = true
    await closeAll(this.#queues)
  }

  async #build(): Promise<void> {
    const { redis, open, onError } = this.#options
    if (this.#queues || this.#isClosing || (redis && redis.status !== 'ready')) return
    let built: Queues | undefined
    try {
      built = open(await versionOptions(redis))
      await Promise.all(built.map((queue) => queue.waitUntilReady()))
      if (this.#queues || this.#isClosing) await closeAll(built)
      else this.#queues = built
    } catch (error) {
      onError(error)
      await closeAll(built)
      if (!this.#isClosing) setTimeout(() => void this.#build(), REBUILD_DELAY_MS).unref()
    }
  }
}

async function closeAll(queues: readonly Openable[] = []): Promise<void> {
  await Promise.allSettled(queues.map((queue) => queue.close()))
}
