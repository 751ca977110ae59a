import type { RedisBackend } from '@tidings/queue/backend'
import { drainPausedList, restoreLostJobs } from '@tidings/queue/bullmq/lost-jobs'
import type { RedisConnection } from '@tidings/queue/open-redis'
import { keyPrefixOf } from '@tidings/queue/queue-names'
import type { Logger } from '@tidings/runtime/log'

/**
 * Puts back jobs that a BullMQ 5 client left where no worker looks. At each call it empties the lists `paused`. At the
 * first call for a queue, and when it found such a list, it also looks for jobs in no list.
 */
export class JobRecovery {
  readonly #redis: RedisConnection
  readonly #backend: RedisBackend
  readonly #log: Logger
  /** The queues that need no search until their list `paused` holds jobs again. */
  readonly #searched = new Set<string>()

  constructor(redis: RedisConnection, backend: RedisBackend, log: Logger) {
    this.#redis = redis
    this.#backend = backend
    this.#log = log
  }

  /** @param queues names of the queues whose store answers. */
  async run(queues: readonly string[]): Promise<void> {
    let paused = 0
    let lost = 0
    for (const name of queues) {
      const prefix = `${keyPrefixOf(this.#backend, name)}:${name}:`
      const moved = await drainPausedList(this.#redis, prefix)
      paused += moved
      if (moved === 0 && this.#searched.has(name)) continue
      this.#searched.delete(name)
      lost += await restoreLostJobs(this.#redis, prefix)
      this.#searched.add(name)
    }
    if (paused + lost > 0)
      this.#log.warn({ paused, lost }, 'put back jobs that a BullMQ 5 client left in no list of BullMQ 6')
  }
}
