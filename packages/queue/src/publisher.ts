import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { type Envelope, LIMITS, type StatusEvent } from '@tidings/shared/status-event'
import type { Telemetry } from 'bullmq'
import type { Redis } from 'ioredis'
import { type JobQueue, openQueue, openRedis, type QueueBackend } from './backend.ts'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS, shardNames } from './policy.ts'

/** Puts events on the queue. Made for callers that must answer soon: it fails fast and never waits for Redis. */
export interface StatusPublisher {
  /**
   * Enqueues 1..500 events as one job. Resolves when the store has confirmed it; a rejection leaves it open
   * whether the job was added, which is harmless: an event's id is fixed, storing it twice stores it once.
   *
   * @throws QueueUnavailableError when the job was surely not added
   */
  publish(events: readonly StatusEvent[]): Promise<void>
  /** True while the store answers. */
  readonly isConnected: boolean
  /** The queues, for those who count or inspect; undefined while the store has never been reached. */
  readonly queues: readonly JobQueue<Envelope>[] | undefined
  /** The connection, for settings and memory; undefined on PostgreSQL. */
  readonly redis: Redis | undefined
  close(): Promise<void>
}

export interface PublisherOptions {
  backend: QueueBackend
  shards: number
  log: Logger
  /** Gives each job the active trace. */
  telemetry?: Telemetry | undefined
}

/** The store has not been reached yet, or is away. */
export class QueueUnavailableError extends Error {
  constructor() {
    super('The queue is not reachable')
    this.name = 'QueueUnavailableError'
  }
}

/** Pause before a Queue that could not start is built anew, in milliseconds. */
const REBUILD_DELAY_MS = 250

export function createPublisher(options: PublisherOptions): StatusPublisher {
  const { backend, shards, log, telemetry } = options
  const onError = throttledWarning(log, 'queue connection')
  const redis = backend.kind === 'redis' ? openRedis(backend.url, 'fail-fast', onError) : undefined
  let queues: JobQueue<Envelope>[] | undefined
  let closing = false
  let nextShard = 0

  /**
   * A BullMQ Queue whose first contact fails stays broken for good, so it is built only on a ready
   * connection, put to use only when it is ready itself, and built anew until it is.
   */
  async function build(): Promise<void> {
    if (queues || closing || (redis && redis.status !== 'ready')) return
    const built = shardNames(shards).map((name) =>
      openQueue<Envelope>(name, backend, redis, {
        onError,
        defaultJobOptions: ENVELOPE_JOB_OPTIONS,
        ...(telemetry && { telemetry }),
      }),
    )
    try {
      await Promise.all(built.map((queue) => queue.waitUntilReady()))
      queues ??= built
    } catch (error) {
      onError(error)
      await Promise.allSettled(built.map((queue) => queue.close()))
      if (!closing) setTimeout(() => void build(), REBUILD_DELAY_MS).unref()
    }
  }
  redis?.on('ready', () => void build())
  if (!redis) void build()

  const isConnected = () => queues !== undefined && (redis === undefined || redis.status === 'ready')

  return {
    async publish(events) {
      const queue = isConnected() ? queues?.[nextShard++ % shards] : undefined
      if (!queue) throw new QueueUnavailableError()
      if (events.length > LIMITS.envelopeEvents) throw new RangeError('An envelope holds at most 500 events')
      await queue.add(ENVELOPE_JOB, { v: 1, events: [...events] })
    },
    get isConnected() {
      return isConnected()
    },
    get queues() {
      return queues
    },
    redis,
    async close() {
      closing = true
      await Promise.allSettled((queues ?? []).map((queue) => queue.close()))
      redis?.disconnect()
    },
  }
}
