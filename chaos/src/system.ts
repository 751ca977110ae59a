import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '@tidings/db/database'
import { type JobQueue, openQueue, prepareQueueBackend, type QueueBackend } from '@tidings/queue/backend'
import type { DeadLetterQueue } from '@tidings/queue/dead-letters/bury'
import { openRedis, type RedisConnection } from '@tidings/queue/open-redis'
import { deadLetterNames, shardNames } from '@tidings/queue/queue-names'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { type PostgresServer, startPostgres } from '@tidings/stack/servers/postgres'
import { findRedisServer, type RedisServer, startRedis } from '@tidings/stack/servers/redis'
import { type RedisCluster, startRedisCluster } from '@tidings/stack/servers/redis-cluster'
import { type SentinelSet, startSentinelSet } from '@tidings/stack/servers/redis-sentinel'
import { addUsers, createSystemDatabase } from '@tidings/stack/testing/system-database'
import { inheritedEnv } from './env.ts'
import { createManagedProcess, type ManagedProcess } from './managed-process.ts'

/** What the system runs on beside one PostgreSQL and one Redis. */
export const TOPOLOGIES = ['cluster', 'sentinel', 'pgbouncer', 'replica'] as const
export type Topology = (typeof TOPOLOGIES)[number]

/** The servers of a run. Each row has its own database and queue on them. */
export interface Servers {
  postgres: PostgresServer
  /** Undefined on a machine without Redis: only the rows on the PostgreSQL queue run then. */
  redis: RedisServer | undefined
  /** Only with the topology of that name. The queue is then there. */
  cluster?: RedisCluster
  sentinels?: SentinelSet
  dir: string
  stop(): Promise<void>
}

export async function startServers(dir: string, topology?: Topology): Promise<Servers> {
  await mkdir(dir, { recursive: true })
  const server = findRedisServer(inheritedEnv().PATH)
  const inDir = (name: string) => (server === undefined ? undefined : { dataDir: join(dir, name), server })
  const single = topology === 'cluster' || topology === 'sentinel' ? undefined : inDir('redis')
  const clustered = topology === 'cluster' ? inDir('cluster') : undefined
  const watched = topology === 'sentinel' ? inDir('sentinel') : undefined
  const [postgres, redis, cluster, sentinels] = await Promise.all([
    startPostgres({ dataDir: join(dir, 'postgres') }),
    single && startRedis(single),
    clustered && startRedisCluster({ ...clustered, settings: { 'cluster-require-full-coverage': 'no' } }),
    watched && startSentinelSet(watched),
  ])
  return {
    postgres,
    redis,
    ...(cluster && { cluster }),
    ...(sentinels && { sentinels }),
    dir,
    async stop() {
      await Promise.all([redis?.stop(), cluster?.stop(), sentinels?.stop()])
      await postgres.stop('immediate')
    },
  }
}

/** A whole installation: real API and worker processes, and the harness's own view of both stores. */
export interface System {
  servers: Servers
  apis: ManagedProcess[]
  workers: ManagedProcess[]
  serviceKey: string
  userIds: string[]
  databaseName: string
  db: Database
  /** The first shard, which is the only one unless a row asks for more. */
  queue: JobQueue<unknown>
  deadLetters: DeadLetterQueue
  queues: JobQueue<unknown>[]
  deadLetterQueues: DeadLetterQueue[]
  /** Undefined on the PostgreSQL queue. */
  redis: RedisConnection | undefined
  /** The environment of the apps, for the command line. */
  env: Record<string, string>
  startAll(): Promise<void>
  stop(): Promise<void>
}

type AppKind = 'api' | 'worker'

export interface SystemOptions {
  name: string
  apis?: number
  workers?: number
  env?: Record<string, string>
  /** More environment, for the database of this name: another way to it. */
  envFor?(databaseName: string): Record<string, string>
  /** Default: redis. */
  queue?: QueueBackend['kind']
  /** Replaces the worker's main file; a path from the root of the repository. */
  workerMain?: string
  shards?: number
  /** More variables for the apps, by kind. Asked once the database is there. */
  envOf?(databaseUrl: string): Promise<Partial<Record<AppKind, Record<string, string>>>>
  /** What the processes of a kind start with, such as LD_PRELOAD. */
  processEnv?: Partial<Record<AppKind, NodeJS.ProcessEnv>>
  /** The main files of the first API and the first worker, from another checkout. */
  firstMains?: { api: string; worker: string }
}

const MAIN_FILES = { api: 'apps/api/src/main.ts', worker: 'apps/worker/src/main.ts' }
const USERS = 20
const ignore = () => {}

/** Creates the stores and the processes of a system. `startAll` starts the processes. */
export async function createSystem(servers: Servers, options: SystemOptions): Promise<System> {
  const { name, apis = 1, workers = 1, shards = 1, workerMain = MAIN_FILES.worker } = options
  const databaseName = `chaos_${name.replaceAll('-', '_')}_${randomUUID().slice(0, 8)}`
  const database = await createSystemDatabase(servers.postgres, databaseName)
  const userIds = Array.from({ length: USERS }, () => randomUUID())
  await addUsers(database.db, userIds)

  const backend = await prepareBackend(servers, options.queue ?? 'redis', databaseName)
  const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', ignore) : undefined
  await redis?.ping()
  const open = <Data>(queue: string) => openQueue<Data>(queue, backend, redis, { onError: ignore })
  const queues = shardNames(shards).map((shard) => open<unknown>(shard))
  const deadLetterQueues = deadLetterNames(backend, shards).map((each) => open<DeadLetter>(each))
  const [queue, deadLetters] = [queues[0], deadLetterQueues[0]]
  if (queue === undefined || deadLetters === undefined) throw new Error('There must be at least one shard')

  const env: Record<string, string> = {
    DATABASE_URL: database.url,
    ...(backend.kind === 'redis' && { REDIS_URL: backend.url }),
    QUEUE_PREFIX: databaseName,
    QUEUE_SHARDS: String(shards),
    JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }),
    RATE_LIMIT_ENABLED: 'false',
    HOST: '127.0.0.1',
    ...options.env,
    ...options.envFor?.(databaseName),
  }
  const envOf = await options.envOf?.(database.url)
  const createProcesses = (kind: AppKind, count: number, main: string) =>
    Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const port = await findFreePort()
        return createManagedProcess({
          name: `${kind} ${index + 1}`,
          main: (index === 0 && options.firstMains?.[kind]) || main,
          port,
          env: { ...env, ...envOf?.[kind], [kind === 'api' ? 'PORT' : 'WORKER_PORT']: String(port) },
          processEnv: options.processEnv?.[kind],
          logFile: join(servers.dir, `${name}-${kind}-${index + 1}.log`),
        })
      }),
    )
  const apiProcesses = await createProcesses('api', apis, MAIN_FILES.api)
  const workerProcesses = await createProcesses('worker', workers, workerMain)
  const all = [...apiProcesses, ...workerProcesses]

  return {
    servers,
    apis: apiProcesses,
    workers: workerProcesses,
    serviceKey: database.serviceKey,
    userIds,
    databaseName,
    db: database.db,
    queue,
    deadLetters,
    queues,
    deadLetterQueues,
    redis,
    env,
    async startAll() {
      await Promise.all(all.map((app) => app.start()))
      await Promise.all(all.map((app) => app.untilReady()))
    },
    async stop() {
      await Promise.all(all.map((app) => app.kill9()))
      await Promise.allSettled([...queues, ...deadLetterQueues].map((each) => each.close()))
      redis?.disconnect()
      await database.db.close()
    },
  }
}

async function prepareBackend(
  servers: Servers,
  kind: QueueBackend['kind'],
  databaseName: string,
): Promise<QueueBackend> {
  const { cluster, sentinels } = servers
  if (kind === 'redis') {
    const { url } = cluster ?? sentinels ?? requireRedis(servers)
    return { kind, url, prefix: databaseName }
  }
  const backend: QueueBackend = { kind, url: servers.postgres.url(databaseName), schema: 'bullmq' }
  await prepareQueueBackend(backend)
  return backend
}

/** @throws on a machine without Redis. */
export function requireRedis({ redis }: Pick<Servers, 'redis'>): RedisServer {
  if (redis === undefined) throw new Error('This row needs a redis-server or valkey-server on the PATH')
  return redis
}
