import { leaveErrorsToQueries } from '@tidings/db/database'
import { ConnectErrorTrackingClient } from '@tidings/db/failure'
import { ConfigError } from '@tidings/runtime/env'
import type { IQueueBackend, Processor, QueueOptions, Worker, WorkerOptions } from 'bullmq'
import { createPostgresBackend, Queue, runMigrations } from 'bullmq'
import { Redis, type RedisOptions } from 'ioredis'
import pg from 'pg'
import { TolerantQueue, TolerantWorker } from './bullmq/tolerant-job.ts'

/** Where the queues live. The same code runs on both; docs/queue-backends.md says what differs. */
export type QueueBackend =
  | { kind: 'redis'; url: string /** Namespace of every key. */; prefix: string }
  | { kind: 'postgres'; url: string /** PostgreSQL schema of BullMQ's tables. */; schema: string }

/** Schema of BullMQ's tables in PostgreSQL. */
const POSTGRES_SCHEMA = 'bullmq'

export interface QueueSettings {
  DATABASE_URL: string
  REDIS_URL?: string | undefined
  QUEUE_BACKEND?: 'redis' | 'postgres' | undefined
  QUEUE_PREFIX: string
}

/**
 * The queue that an environment asks for: Redis where there is one, unless QUEUE_BACKEND says otherwise.
 *
 * @throws ConfigError when Redis is asked for and not given.
 */
export function queueBackendOf(env: QueueSettings): QueueBackend {
  const kind = env.QUEUE_BACKEND ?? (env.REDIS_URL === undefined ? 'postgres' : 'redis')
  if (kind === 'postgres') return { kind, url: env.DATABASE_URL, schema: POSTGRES_SCHEMA }
  if (env.REDIS_URL === undefined) throw new ConfigError(['REDIS_URL: is needed when QUEUE_BACKEND is redis'])
  return { kind, url: env.REDIS_URL, prefix: env.QUEUE_PREFIX }
}

export type JobQueue<Data> = Queue<Data, void, string, Data, void, string, IQueueBackend>
export type JobWorker<Data> = Worker<Data, void, string, IQueueBackend>

/**
 * How a Redis connection behaves when Redis does not answer:
 * - `fail-fast`: for requests that have somewhere else to go;
 * - `patient`: for workers, who can wait;
 * - `operator`: for a person, who wants to know. A command whose connection was lost has failed and is not sent
 *   again: repeating it could undo what another operator did in between.
 */
export type ConnectionMode = 'fail-fast' | 'patient' | 'operator'

/** A command that takes longer has failed, for a caller that cannot wait. In milliseconds. */
const FAIL_FAST_COMMAND_TIMEOUT_MS = 300
const RECONNECT_CAP_MS = 1_000
/**
 * A connection whose commands get no answer for so long is given up and made anew: a peer that vanished without a
 * word would else be waited for until the kernel gives up, a quarter of an hour later. A worker that waits for jobs
 * has an answer within the 10 s that BullMQ blocks at most.
 */
export const SILENCE_LIMIT_MS = 15_000
const FAIL_FAST_SILENCE_LIMIT_MS = 2_000

const CONNECTION_OPTIONS = {
  'fail-fast': {
    enableOfflineQueue: false,
    // Nobody waits for it any more, and what was to be written has been written in another way.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 1,
    commandTimeout: FAIL_FAST_COMMAND_TIMEOUT_MS,
    socketTimeout: FAIL_FAST_SILENCE_LIMIT_MS,
  },
  patient: { maxRetriesPerRequest: null },
  // With any other number a command that is not sent again would never be answered.
  operator: { maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false },
} as const satisfies Record<ConnectionMode, RedisOptions>

const retryStrategy = (attempt: number) => Math.min(attempt * 50, RECONNECT_CAP_MS)

/** Opens a Redis connection. It connects by itself and reconnects within a second, for ever. */
export function openRedis(url: string, mode: ConnectionMode, onError: (error: Error) => void): Redis {
  const redis = new Redis(url, {
    retryStrategy,
    connectTimeout: 2_000,
    socketTimeout: SILENCE_LIMIT_MS,
    ...CONNECTION_OPTIONS[mode],
  })
  redis.on('error', onError)
  return redis
}

export interface OpenQueueOptions extends Pick<QueueOptions, 'defaultJobOptions' | 'streams' | 'telemetry'> {
  onError(error: Error): void
}

/**
 * A queue on an open Redis connection, or on PostgreSQL. With Redis the connection stays the caller's to
 * close. Wait for the connection to be ready first: a Queue built while Redis is away may stay deaf.
 */
export function openQueue<Data>(
  name: string,
  backend: QueueBackend,
  redis: Redis | undefined,
  { onError, ...options }: OpenQueueOptions,
): JobQueue<Data> {
  const queue: unknown =
    backend.kind === 'redis'
      ? new TolerantQueue(name, { ...options, connection: requireRedis(redis), prefix: backend.prefix })
      : new Queue(name, { ...options, connection: postgresConnection(backend) }, createPostgresBackend)
  const opened = queue as JobQueue<Data>
  opened.on('error', onError)
  return opened
}

export type OpenWorkerOptions = Omit<WorkerOptions, 'connection' | 'prefix'>

/** A worker with connections of its own; `close()` closes them. Handle its `error` event. */
export function openWorker<Data>(
  name: string,
  backend: QueueBackend,
  processor: Processor<Data, void, string>,
  options: OpenWorkerOptions,
): JobWorker<Data> {
  const worker: unknown =
    backend.kind === 'redis'
      ? new TolerantWorker<Data>(name, processor, {
          ...options,
          connection: {
            url: backend.url,
            maxRetriesPerRequest: null,
            retryStrategy,
            socketTimeout: SILENCE_LIMIT_MS,
          },
          prefix: backend.prefix,
        })
      : new TolerantWorker(
          name,
          processor,
          { ...options, connection: postgresConnection(backend) },
          createPostgresBackend,
        )
  return worker as JobWorker<Data>
}

/** Creates or upgrades the tables of the PostgreSQL backend; nothing to do for Redis. */
export async function prepareQueueBackend(backend: QueueBackend): Promise<void> {
  if (backend.kind === 'redis') return
  await withQueueClient(backend, (client) => runMigrations(client, backend.schema))
}

/** Runs work on a connection of its own to the PostgreSQL backend. */
export async function withQueueClient<Result>(
  backend: { url: string },
  run: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({ connectionString: backend.url })
  leaveErrorsToQueries(client)
  await client.connect()
  try {
    return await run(client)
  } finally {
    await client.end()
  }
}

function postgresConnection(backend: { url: string; schema: string }) {
  return {
    Client: ConnectErrorTrackingClient,
    connectionString: backend.url,
    schema: backend.schema,
    max: 8,
    connectionTimeoutMillis: 2_000,
    // Waiting for jobs is no query: BullMQ listens.
    query_timeout: SILENCE_LIMIT_MS,
    keepAlive: true,
    // BullMQ opens a pool of its own and does not listen on the connections it holds.
    onConnect: leaveErrorsToQueries,
  }
}

/** @throws with the Redis backend and no connection: a mistake of the caller. */
export function requireRedis(redis: Redis | undefined): Redis {
  if (redis === undefined) throw new Error('The Redis backend needs an open connection')
  return redis
}
