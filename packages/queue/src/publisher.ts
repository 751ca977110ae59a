import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { type AcceptedItem, type Envelope, LIMITS } from '@tidings/shared/status-event'
import type { Telemetry } from 'bullmq'
import { type JobQueue, openQueue, type QueueBackend } from './backend.ts'
import { openRedis, type RedisConnection } from './open-redis.ts'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from './policy.ts'
import { deadLetterNames, isCluster, shardNames } from './queue-names.ts'
import { versionOptions } from './redis-rights.ts'
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

/** Pause before a Queue that could not start is built again, in milliseconds. */
const REBUILD_DELAY_MS = 250

/**
 * Connections of their own for events that wait for replicas: such a wait blocks its connection. As many as the API has
 * envelopes in flight, and some for batches.
 */
const WAITING_CONNECTIONS = 4

/** The shards over one connection. */
interface Lane {
  redis: RedisConnection | undefined
  queues: readonly JobQueue<Envelope>[]
}

export function createPublisher(options: PublisherOptions): StatusPublisher {
  const { backend, shards, log, telemetry, ackReplicas = 0 } = options
  const onError = throttledWarning(log, 'queue connection')
  const open = () => (backend.kind === 'redis' ? openRedis(backend, 'fail-fast', onError) : undefined)
  const redis = open()
  const waiting = redis && ackReplicas > 0 ? Array.from({ length: WAITING_CONNECTIONS }, open) : []
  const connections = [redis, ...waiting]
  let lanes: Lane[] | undefined
  let deadLetters: JobQueue<object>[] | undefined
  let closing = false
  let turn = 0
  const choice = new ShardChoice(shards)
  // On a single Redis, all shards are away together.
  const attempts = isCluster(backend) ? 2 : 1

  const isReady = (connection: RedisConnection | undefined) =>
    connection === undefined || connection.status === 'ready'
  const isConnected = () => lanes !== undefined && isReady(redis)

  /**
   * Builds the queues. A BullMQ Queue whose first command fails never works again. So this builds it on a ready
   * connection only, uses it only when it is ready itself, and builds it again until then.
   */
  async function build(): Promise<void> {
    if (lanes || closing || !connections.every(isReady)) return
    let built: Lane[] = []
    let dead: JobQueue<object>[] = []
    const all = () => [...built.flatMap(({ queues }) => queues), ...dead]
    try {
      const version = await versionOptions(redis)
      const openShard = (name: string, connection: RedisConnection | undefined) =>
        openQueue<Envelope>(name, backend, connection, {
          onError,
          defaultJobOptions: ENVELOPE_JOB_OPTIONS,
          ...version,
          ...(telemetry && { telemetry }),
        })
      built = connections.map((connection) => ({
        redis: connection,
        queues: shardNames(shards).map((name) => openShard(name, connection)),
      }))
      dead = deadLetterNames(backend, shards).map((name) =>
        openQueue<object>(name, backend, redis, { onError, ...version }),
      )
      await Promise.all(all().map((queue) => queue.waitUntilReady()))
      lanes ??= built
      deadLetters ??= dead
    } catch (error) {
      onError(error)
      await Promise.allSettled(all().map((queue) => queue.close()))
      if (!closing) setTimeout(() => void build(), REBUILD_DELAY_MS).unref()
    }
  }
  for (const connection of connections) connection?.on('ready', () => void build())
  if (!redis) void build()

  /** The connections that wait take turns. Without them, the only one is used. */
  const nextLane = () => lanes?.[waiting.length === 0 ? 0 : 1 + (turn++ % waiting.length)]

  /** A shard that fails may have added the job. The other one then adds it again, and it is stored once. */
  async function add(envelope: Envelope): Promise<void> {
    let failure: unknown = new QueueUnavailableError()
    for (let attempt = 0; attempt < attempts; attempt++) {
      const lane = isConnected() ? nextLane() : undefined
      const shard = lane && choice.next()
      const queue = shard === undefined ? undefined : lane?.queues[shard]
      if (shard === undefined || queue === undefined) break
      try {
        const write = () => queue.add(ENVELOPE_JOB, envelope)
        await writeReplicated(queue, lane?.redis, ackReplicas, write)
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
      return isConnected()
    },
    get queues() {
      return lanes?.[0]?.queues
    },
    get deadLetters() {
      return deadLetters
    },
    redis,
    async close() {
      closing = true
      const queues = [...(lanes ?? []).flatMap((lane) => lane.queues), ...(deadLetters ?? [])]
      await Promise.allSettled(queues.map((queue) => queue.close()))
      for (const connection of connections) connection?.disconnect()
    },
  }
}
