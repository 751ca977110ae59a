import { leaveErrorsToQueries } from '@tidings/db/database'
import { ConnectErrorTrackingClient } from '@tidings/db/failure'
import { applySettings, assertDirect } from '@tidings/db/session-settings'
import { ConfigError } from '@tidings/runtime/env'
import { isClusterUrl } from '@tidings/runtime/redis-url'
import { parseExactJson } from '@tidings/shared/json'
import type { IQueueBackend, Processor, QueueOptions, Worker, WorkerOptions } from 'bullmq'
import { createPostgresBackend, Queue, runMigrations } from 'bullmq'
import pg from 'pg'
import { TolerantQueue, TolerantWorker } from './bullmq/tolerant-job.ts'
import { openRedis, type RedisConnection, type RedisTarget, SILENCE_LIMIT_MS } from './open-redis.ts'
import { isCluster, keyPrefixOf } from './queue-names.ts'

export interface RedisBackend extends RedisTarget {
  kind: 'redis'
  /** Prefix of every key. */
  prefix: string
}

/** The store of the queues. The same code runs on both; docs/queue-backends.md lists the differences. */
export type QueueBackend =
  | RedisBackend
  | { kind: 'postgres'; url: string /** PostgreSQL schema of BullMQ's tables. */; schema: string }

/** Schema of BullMQ's tables in PostgreSQL. */
const POSTGRES_SCHEMA = 'bullmq'

export interface QueueSettings {
  DATABASE_URL: string
  /** PostgreSQL past a pooler: BullMQ needs connections of its own, with LISTEN and a search path. */
  DATABASE_DIRECT_URL?: string | undefined
  REDIS_URL?: string | undefined
  /** PEM texts. */
  REDIS_CA_FILE?: string | undefined
  REDIS_CERT_FILE?: string | undefined
  REDIS_KEY_FILE?: string | undefined
  QUEUE_BACKEND?: 'redis' | 'postgres' | undefined
  QUEUE_PREFIX: string
}

/**
 * The queue backend for these settings: Redis if REDIS_URL is set, unless QUEUE_BACKEND says otherwise.
 *
 * @throws ConfigError when QUEUE_BACKEND is redis and REDIS_URL is not set, or when the prefix does not suit a cluster.
 */
export function queueBackendOf(env: QueueSettings): QueueBackend {
  const kind = env.QUEUE_BACKEND ?? (env.REDIS_URL === undefined ? 'postgres' : 'redis')
  if (kind === 'postgres')
    return { kind, url: env.DATABASE_DIRECT_URL ?? env.DATABASE_URL, schema: POSTGRES_SCHEMA }
  if (env.REDIS_URL === undefined)
    throw new ConfigError(['REDIS_URL: is required when QUEUE_BACKEND is redis'])
  if (isClusterUrl(env.REDIS_URL) && /[{}]/.test(env.QUEUE_PREFIX))
    throw new ConfigError([
      'QUEUE_PREFIX: may hold no { } on a cluster: each shard has a hash tag of its own',
    ])
  const { REDIS_CA_FILE: ca, REDIS_CERT_FILE: cert, REDIS_KEY_FILE: key } = env
  const hasTls = (ca ?? cert ?? key) !== undefined
  return { kind, url: env.REDIS_URL, prefix: env.QUEUE_PREFIX, ...(hasTls && { tls: { ca, cert, key } }) }
}

export type JobQueue<Data> = Queue<Data, void, string, Data, void, string, IQueueBackend>
export type JobWorker<Data> = Worker<Data, void, string, IQueueBackend>

interface SilenceLimit {
  /** See SILENCE_LIMIT_MS. Tests pass a shorter one. */
  silenceLimitMs?: number
}

export interface OpenQueueOptions
  extends Pick<QueueOptions, 'defaultJobOptions' | 'streams' | 'telemetry' | 'skipVersionCheck'>,
    SilenceLimit {
  onError(error: Error): void
}

/**
 * Opens a queue on an open Redis connection, or on PostgreSQL. The caller closes the Redis connection. Wait until the
 * connection is ready first: a BullMQ Queue that is built while Redis is unreachable may never work.
 */
export function openQueue<Data>(
  name: string,
  backend: QueueBackend,
  redis: RedisConnection | undefined,
  { onError, silenceLimitMs, ...options }: OpenQueueOptions,
): JobQueue<Data> {
  const queue: unknown =
    backend.kind === 'redis'
      ? new TolerantQueue(name, {
          ...options,
          // On a cluster BullMQ asks any node for it, also one that is away.
          skipVersionCheck: options.skipVersionCheck || isCluster(backend),
          connection: requireRedis(redis),
          prefix: keyPrefixOf(backend, name),
        })
      : new Queue(
          name,
          { ...options, connection: postgresConnection(backend, silenceLimitMs) },
          createPostgresBackend,
        )
  const opened = queue as JobQueue<Data>
  opened.on('error', onError)
  return opened
}

export type OpenWorkerOptions = Omit<WorkerOptions, 'connection' | 'prefix'> & SilenceLimit

/** Opens a worker with its own connections; `close()` closes them. The caller must handle its `error` event. */
export function openWorker<Data>(
  name: string,
  backend: QueueBackend,
  processor: Processor<Data, void, string>,
  { silenceLimitMs = SILENCE_LIMIT_MS, ...options }: OpenWorkerOptions,
): JobWorker<Data> {
  if (backend.kind === 'postgres')
    return new TolerantWorker(
      name,
      processor,
      { ...options, connection: postgresConnection(backend, silenceLimitMs) },
      createPostgresBackend,
    ) as unknown as JobWorker<Data>
  // BullMQ opens another one like it, to block on. Errors of this one are events of the worker.
  const connection = openRedis(backend, 'patient', () => {}, {
    silenceLimitMs,
    // Where INFO is forbidden.
    skipReadyCheck: options.skipVersionCheck ?? false,
  })
  const worker = new TolerantWorker<Data>(name, processor, {
    ...options,
    connection,
    prefix: keyPrefixOf(backend, name),
  })
  worker.on('closed', () => connection.disconnect())
  return worker as unknown as JobWorker<Data>
}

/**
 * Creates or upgrades the tables of the PostgreSQL backend. Does nothing for Redis.
 *
 * @throws PooledConnectionError when a pooler is on the way.
 */
export async function prepareQueueBackend(backend: QueueBackend): Promise<void> {
  if (backend.kind === 'redis') return
  await withQueueClient(backend, async (client) => {
    await assertDirect(client)
    await runMigrations(client, backend.schema)
  })
}

/** Runs work on a new connection to the PostgreSQL backend, and closes it. */
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

/** Reads jsonb with all digits of its numbers. BullMQ writes a job's data as text again, which TolerantJob reads. */
function exactJsonTypes(): pg.TypeOverrides {
  const types = new pg.TypeOverrides()
  types.setTypeParser(pg.types.builtins.JSONB, parseExactJson)
  return types
}

function postgresConnection(backend: { url: string; schema: string }, silenceLimitMs = SILENCE_LIMIT_MS) {
  const setSearchPath = applySettings({ search_path: pg.escapeIdentifier(backend.schema) })
  return {
    Client: ConnectErrorTrackingClient,
    connectionString: withoutStartupOptions(backend.url),
    schema: backend.schema,
    max: 8,
    connectionTimeoutMillis: 2_000,
    // Waiting for jobs is not a query: BullMQ uses LISTEN.
    query_timeout: silenceLimitMs,
    keepAlive: true,
    onConnect(client: pg.ClientBase): Promise<void> {
      // BullMQ does not handle errors of the connections in its pool.
      leaveErrorsToQueries(client)
      return setSearchPath(client)
    },
    types: exactJsonTypes(),
  }
}

/**
 * Returns the URL with empty `options`. BullMQ sets the search path as a startup parameter, which PgBouncer refuses.
 * The options of a URL take precedence over that.
 */
function withoutStartupOptions(url: string): string {
  if (/[?&]options=/.test(url)) return url
  return `${url}${url.includes('?') ? '&' : '?'}options=`
}

/** @throws Error when there is no connection: a mistake of the caller. */
export function requireRedis(redis: RedisConnection | undefined): RedisConnection {
  if (redis === undefined) throw new Error('The Redis backend needs an open connection')
  return redis
}
