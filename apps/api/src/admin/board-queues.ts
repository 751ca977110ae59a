import { type JobQueue, openQueue, type QueueBackend } from '@tidings/queue/backend'
import { openRedis, type RedisConnection } from '@tidings/queue/open-redis'
import { deadLetterNames, shardNames } from '@tidings/queue/queue-names'
import { versionOptions } from '@tidings/queue/redis-rights'
import { waitUntilReady } from '@tidings/queue/wait-until-ready'
import { withDeadline } from '@tidings/runtime/deadline'

export interface BoardQueues {
  /**
   * Opens the queues at the first call, and again after a failure.
   *
   * @throws when the queue's store does not answer.
   */
  open(): Promise<readonly JobQueue<object>[]>
}

const READY_LIMIT_MS = 3_000

/**
 * The shards of the main queue and the dead letters. Uses a separate connection, so that browsing never delays posts.
 *
 * @param limitMs most milliseconds until the store has answered every step of opening.
 */
export function createBoardQueues(
  backend: QueueBackend,
  shards: number,
  onError: (error: Error) => void,
  limitMs = READY_LIMIT_MS,
): BoardQueues {
  let opened: Promise<JobQueue<object>[]> | undefined

  async function build(redis: RedisConnection | undefined, queues: JobQueue<object>[]) {
    if (redis) await waitUntilReady(redis)
    const version = await versionOptions(redis)
    for (const name of [...shardNames(shards), ...deadLetterNames(backend, shards)])
      queues.push(openQueue<object>(name, backend, redis, { onError, ...version }))
    await Promise.all(queues.map((queue) => queue.waitUntilReady()))
    return queues
  }

  async function buildInTime() {
    const redis = backend.kind === 'redis' ? openRedis(backend, 'operator', onError) : undefined
    const queues: JobQueue<object>[] = []
    try {
      return await withDeadline(build(redis, queues), limitMs, () => new Error('The queue does not answer.'))
    } catch (error) {
      opened = undefined
      void Promise.allSettled(queues.map((queue) => queue.close())).then(() => redis?.disconnect())
      throw error
    }
  }

  return {
    open() {
      opened ??= buildInTime()
      return opened
    },
  }
}
