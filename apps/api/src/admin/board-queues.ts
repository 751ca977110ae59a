import { type JobQueue, openQueue, openRedis, type QueueBackend } from '@tidings/queue/backend'
import { DEAD_LETTER_QUEUE, shardNames } from '@tidings/queue/policy'
import { versionOptions } from '@tidings/queue/redis-rights'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { AppError } from '@tidings/shared/errors'

export interface BoardQueues {
  /**
   * Opens the queues at the first call, and again after a failure.
   *
   * @throws AppError `unavailable` when the queue's store does not answer.
   */
  open(): Promise<readonly JobQueue<object>[]>
  close(): Promise<void>
}

const READY_LIMIT_MS = 3_000

/** The shards of the main queue and the dead letters. Uses a separate connection, so that browsing never delays posts. */
export function createBoardQueues(backend: QueueBackend, shards: number, log: Logger): BoardQueues {
  const onError = throttledWarning(log, 'board connection')
  let opened: Promise<{ queues: JobQueue<object>[]; close(): Promise<void> }> | undefined

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
      return { queues, close }
    } catch (error) {
      void close()
      opened = undefined
      throw new AppError('unavailable', 'The queue does not answer. Try again shortly.', { cause: error })
    }
  }

  return {
    async open() {
      opened ??= build()
      return (await opened).queues
    },
    async close() {
      await (await opened?.catch(() => undefined))?.close()
    },
  }
}
