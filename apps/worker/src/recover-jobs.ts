import type { RedisBackend } from '@tidings/queue/backend'
import { drainPausedList, restoreLostJobs } from '@tidings/queue/bullmq/lost-jobs'
import type { RedisConnection } from '@tidings/queue/open-redis'
import { keyPrefixOf } from '@tidings/queue/queue-names'
import type { Logger } from '@tidings/runtime/log'

/**
 * Puts back jobs that a BullMQ 5 client left where no worker looks. At each call it empties the lists `paused`. At the
 * first call, and when it found such a list, it also looks for jobs in no list.
 */
export class JobRecovery {
  readonly #redis: RedisConnection
  readonly #keyPrefixes: readonly string[]
  readonly #log: Logger
  #isSearchDue = true

  constructor(redis: RedisConnection, backend: RedisBackend, queues: readonly string[], log: Logger) {
    this.#redis = redis
    this.#keyPrefixes = queues.map((name) => `${keyPrefixOf(backend, name)}:${name}:`)
    this.#log = log
  }

  async run(): Promise<void> {
    let paused = 0
    for (const prefix of this.#keyPrefixes) paused += await drainPausedList(this.#redis, prefix)
    if (paused === 0 && !this.#isSearchDue) return
    this.#isSearchDue = true
    let lost = 0
    for (const prefix of this.#keyPrefixes) lost += await restoreLostJobs(this.#redis, prefix)
    this.#isSearchDue = false
    if (paused + lost > 0)
      this.#log.warn({ paused, lost }, 'put back jobs that a BullMQ 5 client left in no list of BullMQ 6')
  }
}
