import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { type AcceptedItem, type Envelope, LIMITS } from '@tidings/shared/status-event'
import type { Telemetry } from 'bullmq'
import type { Redis } from 'ioredis'
import { type JobQueue, openQueue, openRedis, type QueueBackend } from './backend.ts'
import { DEAD_LETTER_QUEUE, ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS, shardNames } from './policy.ts'
import { ReadyQueues } from './ready-queues.ts'

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

export function createPublisher(options: PublisherOptions): StatusPublisher {
  const { backend, shards, log, telemetry } = options
  const onError = throttledWarning(log, 'queue connection')
  const redis = backend.kind === 'redis' ? openRedis(backend.url, 'fail-fast', onError) : undefined
  const all = new ReadyQueues<readonly [JobQueue<object>, ...JobQueue<Envelope>[]]>({
    redis,
    open: (version) => [
      openQueue<object>(DEAD_LETTER_QUEUE, backend, redis, { onError, ...version }),
      ...shardNames(shards).map((name) =>
        openQueue<Envelope>(name, backend, redis, {
          onError,
          defaultJobOptions: ENVELOPE_JOB_OPTIONS,
          ...version,
          ...(telemetry && { telemetry }),
        }),
      ),
    ],
    onError,
  })
  let nextShard = 0

  return {
    async publish(items) {
      const [, ...queues] = all.connected ?? []
      const queue = queues[nextShard++ % shards]
      if (!queue) throw new QueueUnavailableError()
      if (items.length > LIMITS.envelopeEvents) throw new RangeError('An envelope holds at most 500 events')
      await queue.add(ENVELOPE_JOB, { v: 1, events: [...items] })
    },
    get isConnected() {
      return all.connected !== undefined
    },
    get queues() {
      const [, ...queues] = all.opened ?? []
      return all.opened && queues
    },
    get deadLetters() {
      return all.opened?.[0]
    },
    redis,
    async close() {
      await all.close()
      redis?.disconnect()
    },
  }
}
