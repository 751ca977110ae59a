import { once } from 'node:events'
import { type JobQueue, openQueue, queueBackendOf } from '@tidings/queue/backend'
import { eventFields } from '@tidings/queue/dead-letters/entry'
import { itemsOf } from '@tidings/queue/envelope'
import { openRedis } from '@tidings/queue/open-redis'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { shardNames } from '@tidings/queue/queue-names'
import { versionOptions } from '@tidings/queue/redis-rights'
import type { Envelope, StatusEvent } from '@tidings/shared/status-event'
import type { CliEnv } from '../../env.ts'

/** Most jobs searched in each state of a shard, from the newest. It bounds the work on a long queue. */
const SEARCHED_JOBS = 100
/** Jobs read at once. Each may be as long as MAX_JOB_LENGTH. */
const PAGE = 4

/** The main queue as a probe uses it: as a producer, and to remove its events that no worker took. */
export class ProbeQueue {
  readonly #shards: JobQueue<Envelope>[]
  readonly #disconnect: () => void

  private constructor(shards: JobQueue<Envelope>[], disconnect: () => void) {
    this.#shards = shards
    this.#disconnect = disconnect
  }

  /** Call it after the dead letters were opened: that reports a Redis that does not answer. */
  static async open(env: CliEnv): Promise<ProbeQueue> {
    const onError = () => undefined
    const backend = queueBackendOf(env)
    const redis = backend.kind === 'redis' ? openRedis(backend, 'operator', onError) : undefined
    if (redis) await once(redis, 'ready')
    const version = await versionOptions(redis)
    const shards = shardNames(env.QUEUE_SHARDS).map((name) =>
      openQueue<Envelope>(name, backend, redis, { onError, ...version }),
    )
    return new ProbeQueue(shards, () => redis?.disconnect())
  }

  async add(event: StatusEvent): Promise<void> {
    await this.#shards[0]?.add(ENVELOPE_JOB, { v: 1, events: [event] }, ENVELOPE_JOB_OPTIONS)
  }

  /**
   * Removes the jobs that hold nothing but events of this notification.
   *
   * @returns false when one may be left: in an envelope with other events, held by a worker, or beyond the search.
   */
  async remove(notificationId: string): Promise<boolean> {
    const isOwn = (event: unknown) => eventFields(event).notificationId === notificationId
    const { jobs, isComplete } = await this.#findJobs(isOwn)
    let isClean = isComplete
    for (const job of jobs) {
      const isRemoved =
        itemsOf(job.data).every(isOwn) &&
        (await job.remove().then(
          () => true,
          () => false,
        ))
      isClean &&= isRemoved
    }
    return isClean
  }

  async #findJobs(isOwn: (event: unknown) => boolean) {
    const jobs = []
    let isComplete = true
    for (const shard of this.#shards)
      for (const state of ['waiting', 'delayed', 'active', 'failed'] as const)
        for (let start = 0; ; start += PAGE) {
          const page = await shard.getJobs([state], start, start + PAGE - 1)
          jobs.push(...page.filter(({ data }) => itemsOf(data).some(isOwn)))
          if (page.length < PAGE) break
          if (start >= SEARCHED_JOBS) {
            isComplete = false
            break
          }
        }
    return { jobs, isComplete }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#shards.map((shard) => shard.close()))
    this.#disconnect()
  }
}
