import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { type AcceptedItem, type Envelope, LIMITS } from '@tidings/shared/status-event'
import type { Telemetry } from 'bullmq'
import { type JobQueue, openQueue, type QueueBackend } from './backend.ts'
import { openRedis, type RedisConnection } from './open-redis.ts'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from './policy.ts'
import { deadLetterNames, isCluster, shardNames } from './queue-names.ts'
import { ReadyQueues } from './ready-queues.ts'
import { writeReplicated } from './replication.ts'
import { ShardChoice } from './shard-choice.ts'

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
  readonly deadLetters: readonly JobQueue<object>[] | undefined
  /** The Redis connection, for reading settings and memory; undefined on PostgreSQL. */
  readonly redis: RedisConnection | undefined
  close(): Promise<void>
}

export interface PublisherOptions {
  backend: QueueBackend
  shards: number
  /** Replicas that must have an event before `publish` resolves. Default: 0. */
  ackReplicas?: number
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

/**
 * Connections of their own for events that wait for replicas: such a wait blocks its connection. As many as the API has
 * envelopes in flight, and some for batches.
 */
const WAITING_CONNECTIONS = 4

/** The shards over one connection. */
interface Lane {
  redis: RedisConnection | undefined
  shards: ReadyQueues<readonly JobQueue<Envelope>[]>
}

export function createPublisher(options: PublisherOptions): StatusPublisher {
  const { backend, shards, log, telemetry, ackReplicas = 0 } = options
  const onError = throttledWarning(log, 'queue connection')

  function openLane(): Lane {
    const redis = backend.kind === 'redis' ? openRedis(backend, 'fail-fast', onError) : undefined
    const open = (version: { skipVersionCheck: boolean }) =>
      shardNames(shards).map((name) =>
        openQueue<Envelope>(name, backend, redis, {
          onError,
          defaultJobOptions: ENVELOPE_JOB_OPTIONS,
          ...version,
          ...(telemetry && { telemetry }),
        }),
      )
    return { redis, shards: new ReadyQueues({ redis, open, onError }) }
  }
  const shared = openLane()
  const { redis } = shared
  const deadLetters = new ReadyQueues({
    redis,
    open: (version) =>
      deadLetterNames(backend, shards).map((name) =>
        openQueue<object>(name, backend, redis, { onError, ...version }),
      ),
    onError,
  })
  // On PostgreSQL there are no replicas to wait for.
  const waiting = redis && ackReplicas > 0 ? Array.from({ length: WAITING_CONNECTIONS }, openLane) : []
  let turn = 0
  const nextLane = () => waiting[turn++ % waiting.length] ?? shared

  const choice = new ShardChoice(shards)
  // On a single Redis, all shards are away together.
  const attempts = isCluster(backend) ? 2 : 1

  /** A shard that fails may have added the job. The other one then adds it again, and it is stored once. */
  async function add(envelope: Envelope): Promise<void> {
    let failure: unknown = new QueueUnavailableError()
    for (let attempt = 0; attempt < attempts; attempt++) {
      const lane = nextLane()
      const { connected } = lane.shards
      const shard = connected && choice.next()
      const queue = shard === undefined ? undefined : connected?.[shard]
      if (shard === undefined || queue === undefined) break
      try {
        await writeReplicated(queue, lane.redis, ackReplicas, () => queue.add(ENVELOPE_JOB, envelope))
        choice.succeeded(shard)
        return
      } catch (error) {
        failure = error
        if (isCluster(backend)) choice.failed(shard)
      }
    }
    throw failure
  }

  return {
    async publish(items) {
      if (items.length > LIMITS.envelopeEvents) throw new RangeError('An envelope holds at most 500 events')
      await add({ v: 1, events: [...items] })
    },
    get isConnected() {
      return (
        [shared, ...waiting].every((lane) => lane.shards.connected) && deadLetters.connected !== undefined
      )
    },
    get queues() {
      return shared.shards.opened
    },
    get deadLetters() {
      return deadLetters.opened
    },
    redis,
    async close() {
      const lanes = [shared, ...waiting]
      await Promise.all([...lanes.map((lane) => lane.shards.close()), deadLetters.close()])
      for (const lane of lanes) lane.redis?.disconnect()
    },
  }
}
