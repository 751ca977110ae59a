import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { type Envelope, LIMITS, type StatusEvent } from '@tidings/shared/status-event'
import type { Telemetry } from 'bullmq'
import { type JobQueue, openQueue, type QueueBackend } from './backend.ts'
import { openRedis, type RedisConnection } from './open-redis.ts'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from './policy.ts'
import { deadLetterNames, isCluster, shardNames } from './queue-names.ts'
import { versionOptions } from './redis-rights.ts'
import { ShardChoice } from './shard-choice.ts'

/** Puts events on the queue, for callers that must answer soon: it fails fast and never waits for Redis. */
export interface StatusPublisher {
  /**
   * Enqueues 1..500 events as one job. Resolves when the store has confirmed it. After a rejection the job may have
   * been added or not. Publishing again is harmless: an event's id is fixed, so storing it twice stores it once.
   *
   * @throws QueueUnavailableError when the job was certainly not added
   */
  publish(events: readonly StatusEvent[]): Promise<void>
  /** True while the store answers. */
  readonly isConnected: boolean
  /** The shards, for counting and inspection; undefined until the store was reached for the first time. */
  readonly queues: readonly JobQueue<Envelope>[] | undefined
  /** The dead letters, for the same; undefined for as long. */
  readonly deadLetters: readonly JobQueue<object>[] | undefined
  /** The Redis connection, for reading settings and memory; undefined on PostgreSQL. */
  readonly redis: RedisConnection | undefined
  close(): Promise<void>
}

export interface PublisherOptions {
  backend: QueueBackend
  shards: number
  log: Logger
  /** Adds the active trace to each job. */
  telemetry?: Telemetry | undefined
}

/** The queue's store is unreachable. */
export class QueueUnavailableError extends Error {
  constructor() {
    super('The queue is unreachable')
    this.name = 'QueueUnavailableError'
  }
}

/** Pause before a Queue that could not start is built again, in milliseconds. */
const REBUILD_DELAY_MS = 250

export function createPublisher(options: PublisherOptions): StatusPublisher {
  const { backend, shards, log, telemetry } = options
  const onError = throttledWarning(log, 'queue connection')
  const redis = backend.kind === 'redis' ? openRedis(backend, 'fail-fast', onError) : undefined
  let queues: JobQueue<Envelope>[] | undefined
  let deadLetters: JobQueue<object>[] | undefined
  let closing = false
  const choice = new ShardChoice(shards)
  // On a single Redis, all shards are away together.
  const attempts = isCluster(backend) ? 2 : 1

  /**
   * Builds the queues. A BullMQ Queue whose first command fails never works again. So this builds it on a ready
   * connection only, uses it only when it is ready itself, and builds it again until then.
   */
  async function build(): Promise<void> {
    if (queues || closing || (redis && redis.status !== 'ready')) return
    let built: JobQueue<Envelope>[] = []
    let dead: JobQueue<object>[] = []
    try {
      const version = await versionOptions(redis)
      built = shardNames(shards).map((name) =>
        openQueue<Envelope>(name, backend, redis, {
          onError,
          defaultJobOptions: ENVELOPE_JOB_OPTIONS,
          ...version,
          ...(telemetry && { telemetry }),
        }),
      )
      dead = deadLetterNames(backend, shards).map((name) =>
        openQueue<object>(name, backend, redis, { onError, ...version }),
      )
      await Promise.all([...built, ...dead].map((queue) => queue.waitUntilReady()))
      queues ??= built
      deadLetters ??= dead
    } catch (error) {
      onError(error)
      await Promise.allSettled([...built, ...dead].map((queue) => queue.close()))
      if (!closing) setTimeout(() => void build(), REBUILD_DELAY_MS).unref()
    }
  }
  redis?.on('ready', () => void build())
  if (!redis) void build()

  /** A shard that fails may have added the job. The other one then adds it again, and it is stored once. */
  async function add(envelope: Envelope): Promise<void> {
    let failure: unknown = new QueueUnavailableError()
    for (let attempt = 0; attempt < attempts; attempt++) {
      const shard = isConnected() ? choice.next() : undefined
      const queue = shard === undefined ? undefined : queues?.[shard]
      if (shard === undefined || queue === undefined) break
      try {
        await queue.add(ENVELOPE_JOB, envelope)
        choice.succeeded(shard)
        return
      } catch (error) {
        failure = error
        if (isCluster(backend)) choice.failed(shard)
      }
    }
    throw failure
  }

  const isConnected = () => queues !== undefined && (redis === undefined || redis.status === 'ready')

  return {
    async publish(events) {
      if (events.length > LIMITS.envelopeEvents) throw new RangeError('An envelope holds at most 500 events')
      await add({ v: 1, events: [...events] })
    },
    get isConnected() {
      return isConnected()
    },
    get queues() {
      return queues
    },
    get deadLetters() {
      return deadLetters
    },
    redis,
    async close() {
      closing = true
      await Promise.allSettled([...(queues ?? []), ...(deadLetters ?? [])].map((queue) => queue.close()))
      redis?.disconnect()
    },
  }
}
