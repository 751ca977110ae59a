import { type JobQueue, openQueue, type QueueBackend } from '@tidings/queue/backend'
import type { DeadLetterQueue } from '@tidings/queue/dead-letters/bury'
import type { RedisConnection } from '@tidings/queue/open-redis'
import { deadLetterNames, shardNames } from '@tidings/queue/queue-names'
import { versionOptions } from '@tidings/queue/redis-rights'
import { findShards } from '@tidings/queue/shards'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import type { Tracing } from '@tidings/telemetry/tracing'
import { connectRedis } from './connect-redis.ts'
import { JobRecovery } from './recover-jobs.ts'

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
  /** One, or one for each shard on a cluster. */
  deadLetters: DeadLetterQueue[]
  /** Undefined on PostgreSQL. */
  recovery: JobRecovery | undefined
  /** For the workers of these queues. */
  version: Awaited<ReturnType<typeof versionOptions>>
  /** The connection of the queues; undefined on PostgreSQL. */
  redis: RedisConnection | undefined
}

/**
 * Opens the main queue's shards and the dead-letter queue once their store is reachable. Shards above QUEUE_SHARDS that
 * still hold jobs are opened too.
 */
export async function openQueues(options: OpenQueuesOptions): Promise<WorkerQueues> {
  const { backend, lifecycle, log, tracing, onError } = options
  const redis = backend.kind === 'redis' ? await connectRedis(backend, onError) : undefined
  lifecycle.onRelease('redis', () => redis?.disconnect())

  const shards = await findShards(backend, redis, options.shards, { skipAway: true })
  if (shards > options.shards)
    log.warn({ shards, configured: options.shards }, 'also taking jobs from shards above QUEUE_SHARDS')
  const version = await versionOptions(redis)
  const traced = tracing && { telemetry: tracing.queueTelemetry }
  const queues = shardNames(shards).map((name) =>
    openQueue<unknown>(name, backend, redis, { onError, ...version, ...traced }),
  )
  const deadLetters = deadLetterNames(backend, options.shards).map((name) =>
    openQueue<DeadLetter>(name, backend, redis, { onError, ...version }),
  )
  lifecycle.onRelease('queues', async () => {
    await Promise.allSettled([...queues, ...deadLetters].map((queue) => queue.close()))
  })
  const recovery = redis && backend.kind === 'redis' ? new JobRecovery(redis, backend, log) : undefined
  return { queues, deadLetters, recovery, version, redis }
}
