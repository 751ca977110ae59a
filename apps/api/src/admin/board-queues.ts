import { type JobQueue, openQueue, openRedis, type QueueBackend } from '@tidings/queue/backend'
import { DEAD_LETTER_QUEUE, shardNames } from '@tidings/queue/policy'
import { versionOptions } from '@tidings/queue/redis-rights'

export interface BoardQueues {
  /**
   * Opens the queues at the first call, and again after a failure.
   *
   * @throws when the queue's store does not answer.
   */
  open(): Promise<readonly JobQueue<object>[]>
}

const READY_LIMIT_MS = 3_000

/** The shards of the main queue and the dead letters. Uses a separate connection, so that browsing never delays posts. */
export function createBoardQueues(
  backend: QueueBackend,
  shards: number,
  onError: (error: Error) => void,
): BoardQueues {
  let opened: Promise<JobQueue<object>[]> | undefined

  async function build() {
    const redis = backend.kind === 'redis' ? openRedis(backend.url, 'operator', onError) : undefined
    const queues: JobQueue<object>[] = []
    const close = async () => {
      await Promise.allSettled(queues.map((queue) => queue.close()))
      redis?.disconnect()
    }
    const timeout = AbortSignal.timeout(READY_LIMIT_MS)
    const tooLate = new Promise<never>((_, reject) => {
      timeout.addEventListener('abort', () => reject(new Error('The queue does not answer.')))
    })
    try {
      await Promise.race([redis?.ping(), tooLate])
      const version = await versionOptions(redis)
      for (const name of [...shardNames(shards), DEAD_LETTER_QUEUE])
        queues.push(openQueue<object>(name, backend, redis, { onError, ...version }))
      await Promise.race([Promise.all(queues.map((queue) => queue.waitUntilReady())), tooLate])
      tooLate.catch(() => undefined)
      return queues
    } catch (error) {
      void close()
      opened = undefined
      throw error
    }
  }

  return {
    open() {
      opened ??= build()
      return opened
    },
  }
}
