import { once } from 'node:events'
import { type JobQueue, openQueue, openRedis, queueBackendOf } from '@tidings/queue/backend'
import { itemsOf } from '@tidings/queue/envelope'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS, shardNames } from '@tidings/queue/policy'
import type { Envelope, StatusEvent } from '@tidings/shared/status-event'
import type { CliEnv } from '../../env.ts'

type RedisConnection = ReturnType<typeof openRedis>

/** Jobs searched for probe events in each state of a shard, from the newest. It bounds the work on a long queue. */
const SEARCHED_JOBS = 100
/** Jobs read at once. Each may be as long as MAX_JOB_LENGTH. */
const PAGE = 4

/** The main queue as a probe uses it: as a producer, and to remove its events that no worker took. */
export class ProbeQueue {
  readonly #shards: JobQueue<Envelope>[]
  readonly #redis: RedisConnection | undefined

  private constructor(shards: JobQueue<Envelope>[], redis: RedisConnection | undefined) {
    this.#shards = shards
    this.#redis = redis
  }

  /** Call it after the dead letters were opened: that reports a Redis that does not answer. */
  static async open(env: CliEnv): Promise<ProbeQueue> {
    const onError = () => undefined
    const backend = queueBackendOf(env)
    const redis = backend.kind === 'redis' ? openRedis(backend.url, 'operator', onError) : undefined
    if (redis) await once(redis, 'ready')
    const shards = shardNames(env.QUEUE_SHARDS).map((name) =>
      openQueue<Envelope>(name, backend, redis, { onError }),
    )
    return new ProbeQueue(shards, redis)
  }

  async add(event: StatusEvent): Promise<void> {
    await this.#shards[0]?.add(ENVELOPE_JOB, { v: 1, events: [event] }, ENVELOPE_JOB_OPTIONS)
  }

  /**
   * Removes the jobs that hold nothing but events of this notification.
   *
   * @returns whether none is left: a job that a worker holds, or that has other events too, stays.
   */
  async remove(notificationId: string): Promise<boolean> {
    let isEmpty = true
    for (const job of await this.#findJobs(notificationId)) {
      const isAlone = itemsOf(job.data).every((event) => isOfNotification(event, notificationId))
      const isRemoved = isAlone && (await job.remove().then(returnTrue, returnFalse))
      isEmpty &&= isRemoved
    }
    return isEmpty
  }

  async #findJobs(notificationId: string) {
    const found = []
    for (const shard of this.#shards)
      for (const state of ['waiting', 'delayed', 'active', 'failed'] as const)
        for (let start = 0; start < SEARCHED_JOBS; start += PAGE) {
          const jobs = await shard.getJobs([state], start, start + PAGE - 1)
          found.push(
            ...jobs.filter(({ data }) =>
              itemsOf(data).some((event) => isOfNotification(event, notificationId)),
            ),
          )
          if (jobs.length < PAGE) break
        }
    return found
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#shards.map((shard) => shard.close()))
    this.#redis?.disconnect()
  }
}

const returnTrue = () => true
const returnFalse = () => false

const isOfNotification = (event: unknown, notificationId: string) =>
  typeof event === 'object' &&
  event !== null &&
  'notification_id' in event &&
  event.notification_id === notificationId
