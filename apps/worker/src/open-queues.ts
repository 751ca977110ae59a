import { type JobQueue, openQueue, openRedis, type QueueBackend } from '@tidings/queue/backend'
import type { DeadLetterQueue } from '@tidings/queue/dead-letters/bury'
import { DEAD_LETTER_QUEUE, shardNames } from '@tidings/queue/policy'
import { findShards } from '@tidings/queue/shards'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import type { Tracing } from '@tidings/telemetry/tracing'
import type { Redis } from 'ioredis'

export interface OpenQueuesOptions {
  backend: QueueBackend
  shards: number
  lifecycle: Lifecycle
  log: Logger
  tracing: Tracing | undefined
  onError(error: Error): void
}

export interface WorkerQueues {
  /** The shards of the main queue. */
  queues: JobQueue<unknown>[]
  deadLetters: DeadLetterQueue
  /** Undefined on the PostgreSQL backend. */
  redis: Redis | undefined
}

/**
 * Opens the main queue's shards and the dead-letter queue once their store is reachable. Shards above QUEUE_SHARDS that
 * still hold jobs are opened too.
 */
export async function openQueues(options: OpenQueuesOptions): Promise<WorkerQueues> {
  const { backend, lifecycle, log, tracing, onError } = options
  const redis = backend.kind === 'redis' ? await connectRedis(backend.url, onError) : undefined
  lifecycle.onRelease('redis', () => redis?.disconnect())

  const shards = await findShards(backend, redis, options.shards)
  if (shards > options.shards)
    log.warn({ shards, configured: options.shards }, 'also taking jobs from shards above QUEUE_SHARDS')
  const traced = tracing && { telemetry: tracing.queueTelemetry }
  const queues = shardNames(shards).map((name) =>
    openQueue<unknown>(name, backend, redis, { onError, ...traced }),
  )
  const deadLetters = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
  lifecycle.onRelease('queues', async () => {
    await Promise.allSettled([...queues, deadLetters].map((queue) => queue.close()))
  })
  return { queues, deadLetters, redis }
}

/** Resolves when Redis has answered for the first time. A Queue that is built earlier may never work. */
async function connectRedis(url: string, onError: (error: Error) => void): Promise<Redis> {
  const redis = openRedis(url, 'patient', onError)
  await redis.ping()
  return redis
}
