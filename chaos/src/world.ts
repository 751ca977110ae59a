import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Database, openDatabase } from '@tidings/db/database'
import { migrateDatabase } from '@tidings/db/migrate'
import { createServiceKey } from '@tidings/db/operators/service-keys'
import {
  type JobQueue,
  openQueue,
  openRedis,
  prepareQueueBackend,
  type QueueBackend,
} from '@tidings/queue/backend'
import type { DeadLetterQueue } from '@tidings/queue/dead-letters/bury'
import { DEAD_LETTER_QUEUE, STATUS_QUEUE } from '@tidings/queue/policy'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { createDatabase, type PostgresServer, startPostgres } from '@tidings/stack/servers/postgres'
import { findRedisServer, type RedisServer, startRedis } from '@tidings/stack/servers/redis'
import { createVictim, type Victim } from './victim.ts'

/** The servers of a whole run. Each row gets a database and a queue of its own on them. */
export interface Servers {
  postgres: PostgresServer
  /** Undefined on a machine without one: then only rows on the PostgreSQL queue run. */
  redis: RedisServer | undefined
  dir: string
  stop(): Promise<void>
}

export async function startServers(dir: string): Promise<Servers> {
  await mkdir(dir, { recursive: true })
  const postgres = await startPostgres({ dataDir: join(dir, 'postgres') })
  const server = findRedisServer(process.env.PATH)
  const redis = server === undefined ? undefined : await startRedis({ dataDir: join(dir, 'redis'), server })
  return {
    postgres,
    redis,
    dir,
    async stop() {
      await redis?.stop()
      await postgres.stop('immediate')
    },
  }
}

/** One row's system: real processes, and the eyes of the harness on both stores. */
export interface System {
  servers: Servers
  apis: Victim[]
  workers: Victim[]
  serviceKey: string
  userIds: string[]
  databaseName: string
  db: Database
  queue: JobQueue<unknown>
  deadLetters: DeadLetterQueue
  startAll(): Promise<void>
  stop(): Promise<void>
}

export interface WorldOptions {
  name: string
  apis?: number
  workers?: number
  env?: Record<string, string>
  /** Where the queue is; Redis unless said otherwise. */
  queue?: QueueBackend['kind']
  /** Replaces the worker's main; a path from the root of the repository. */
  workerMain?: string
}

const API_MAIN = 'apps/api/src/main.ts'
const WORKER_MAIN = 'apps/worker/src/main.ts'
const USERS = 20

export async function createWorld(servers: Servers, options: WorldOptions): Promise<System> {
  const { name, apis = 1, workers = 1 } = options
  const databaseName = `chaos_${name.replaceAll('-', '_')}_${randomUUID().slice(0, 8)}`
  await createDatabase(servers.postgres.adminUrl, databaseName)
  const databaseUrl = servers.postgres.url(databaseName)
  await migrateDatabase(databaseUrl)
  const db = openDatabase({
    url: databaseUrl,
    applicationName: 'tidings-chaos',
    maxConnections: 3,
    onError: () => {},
  })
  const userIds = await createUsers(db)
  const key = await createServiceKey(db, 'chaos', ['status:write:email', 'status:write:push', 'status:read'])
  if (key.outcome !== 'created') throw new Error('No service key could be made')

  const backend = await prepareBackend(servers, options.queue ?? 'redis', databaseName)
  const redis = backend.kind === 'redis' ? openRedis(backend.url, 'patient', () => {}) : undefined
  await redis?.ping()
  const queue = openQueue<unknown>(STATUS_QUEUE, backend, redis, { onError: () => {} })
  const deadLetters = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError: () => {} })

  const env: Record<string, string> = {
    DATABASE_URL: databaseUrl,
    ...(backend.kind === 'redis' && { REDIS_URL: backend.url }),
    QUEUE_PREFIX: databaseName,
    JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }),
    RATE_LIMIT_ENABLED: 'false',
    HOST: '127.0.0.1',
    // Dozens of starts: the first one compiles for all.
    NODE_COMPILE_CACHE: join(servers.dir, 'compiled'),
    ...options.env,
  }
  const create = async (kind: 'api' | 'worker', index: number, main: string) => {
    const port = await findFreePort()
    return createVictim({
      name: `${kind} ${index + 1}`,
      main,
      port,
      env: { ...env, [kind === 'api' ? 'PORT' : 'WORKER_PORT']: String(port) },
      logFile: join(servers.dir, `${name}-${kind}-${index + 1}.log`),
    })
  }
  const apiProcesses: Victim[] = []
  for (let i = 0; i < apis; i++) apiProcesses.push(await create('api', i, API_MAIN))
  const workerProcesses: Victim[] = []
  for (let i = 0; i < workers; i++) {
    workerProcesses.push(await create('worker', i, options.workerMain ?? WORKER_MAIN))
  }
  const all = [...apiProcesses, ...workerProcesses]

  return {
    servers,
    apis: apiProcesses,
    workers: workerProcesses,
    serviceKey: key.key,
    userIds,
    databaseName,
    db,
    queue,
    deadLetters,
    async startAll() {
      await Promise.all(all.map((app) => app.start()))
      await Promise.all(all.map((app) => app.untilReady()))
    },
    async stop() {
      await Promise.all(all.map((app) => app.kill9()))
      await Promise.allSettled([queue.close(), deadLetters.close()])
      redis?.disconnect()
      await db.close()
    },
  }
}

async function prepareBackend(
  servers: Servers,
  kind: QueueBackend['kind'],
  databaseName: string,
): Promise<QueueBackend> {
  if (kind === 'redis') return { kind, url: requireRedis(servers).url, prefix: databaseName }
  const backend: QueueBackend = { kind, url: servers.postgres.url(databaseName), schema: 'bullmq' }
  await prepareQueueBackend(backend)
  return backend
}

/** @throws on a machine without one. */
export function requireRedis({ redis }: Servers): RedisServer {
  if (redis === undefined) throw new Error('This row needs a redis-server or valkey-server on the PATH')
  return redis
}

async function createUsers(db: Database): Promise<string[]> {
  const ids = Array.from({ length: USERS }, () => randomUUID())
  await addUsers(db, ids)
  return ids
}

export async function addUsers(db: Database, ids: readonly string[]): Promise<void> {
  await db.pool.query(
    `INSERT INTO users (id, email, name, password)
     SELECT id, id::text || '@example.com', 'Chaos', '!' FROM unnest($1::uuid[]) AS id`,
    [ids],
  )
}
