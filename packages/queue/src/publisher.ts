import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { type AcceptedItem, type Envelope, LIMITS } from '@tidings/shared/status-event'
import type { Telemetry } from 'bullmq'
import type { Redis } from 'ioredis'
import { type JobQueue, openQueue, openRedis, type QueueBackend } from './backend.ts'
import { DEAD_LETTER_QUEUE, ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS, shardNames } from './policy.ts'
import { versionOptions } from './redis-rights.ts'

/** Puts events on the queue, for callers that must answer soon: it fails fast and never waits for Redis. */
export interface StatusPublisher {
  /**
   * Enqueues 1..500 items as one job. Resolves when the store has confirmed it. After a rejection the job may have
   * been added or not. Publishing again is harmless: an event's id is fixed, so storing it twice stores it once.
   *
   * @throws QueueUnavailableError when the job was certainly not added
   */
  publish(items: readonly AcceptedItem[]): Promise<void>
  /** True while the store answers. */
  readonly isConnected: boolean
  /** The shards, for counting and inspection; undefined until the store was reached for the first time. */
  readonly queues: readonly JobQueue<Envelope>[] | undefined
  /** The dead letters, for the same; undefined for as long. */
  readonly deadLetters: JobQueue<object> | undefined
  /** The Redis connection, for reading settings and memory; undefined on PostgreSQL. */
  readonly redis: Redis | undefined
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
  const redis = backend.kind === 'redis' ? openRedis(backend.url, 'fail-fast', onError) : undefined
  let queues: JobQueue<Envelope>[] | undefined
  let deadLetters: JobQueue<object> | undefined
  let closing = false
  let nextShard = 0

  /**
   * Builds the queues. A BullMQ Queue whose first command fails never works again. So this builds it on a ready
   * connection only, uses it only when it is ready itself, and builds it again until then.
   */
  async function build(): Promise<void> {
    if (queues || closing || (redis && redis.status !== 'ready')) return
    let built: JobQueue<Envelope>[] = []
    let dead: JobQueue<object> | undefined
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
      dead = openQueue<object>(DEAD_LETTER_QUEUE, backend, redis, { onError, ...version })
      await Promise.all([...built, dead].map((queue) => queue.waitUntilReady()))
      queues ??= built
      deadLetters ??= dead
    } catch (error) {
      onError(error)
      await Promise.allSettled([...built, dead].map((queue) => queue?.close()))
      if (!closing) setTimeout(() => void build(), REBUILD_DELAY_MS).unref()
    }
  }
  redis?.on('ready', () => void build())
  if (!redis) void build()

  const isConnected = () => queues !== undefined && (redis === undefined || redis.status === 'ready')

  return {
    async publish(items) {
      const queue = isConnected() ? queues?.[nextShard++ % shards] : undefined
      if (!queue) throw new QueueUnavailableError()
      if (items.length > LIMITS.envelopeEvents) throw new RangeError('An envelope holds at most 500 events')
      await queue.add(ENVELOPE_JOB, { v: 1, events: [...items] })
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
      await Promise.allSettled([...(queues ?? []), deadLetters].map((queue) => queue?.close()))
      redis?.disconnect()
    },
  }
}
