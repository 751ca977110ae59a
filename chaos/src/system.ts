import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '@tidings/db/database'
import { type JobQueue, openQueue, prepareQueueBackend, type QueueBackend } from '@tidings/queue/backend'
import type { DeadLetterQueue } from '@tidings/queue/dead-letters/bury'
import { openRedis } from '@tidings/queue/open-redis'
import { DEAD_LETTER_QUEUE, STATUS_QUEUE } from '@tidings/queue/policy'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import { findFreePort } from '@tidings/stack/servers/free-port'
import { type PostgresServer, startPostgres } from '@tidings/stack/servers/postgres'
import { findRedisServer, type RedisServer, startRedis } from '@tidings/stack/servers/redis'
import { addUsers, createSystemDatabase } from '@tidings/stack/testing/system-database'
import { inheritedEnv } from './env.ts'
import { createManagedProcess, type ManagedProcess } from './managed-process.ts'

/** The servers of a run. Each row has its own database and queue on them. */
export interface Servers {
  postgres: PostgresServer
  /** Undefined on a machine without Redis: only the rows on the PostgreSQL queue run then. */
  redis: RedisServer | undefined
  dir: string
  stop(): Promise<void>
}

export async function startServers(dir: string): Promise<Servers> {
  await mkdir(dir, { recursive: true })
  const server = findRedisServer(inheritedEnv().PATH)
  const [postgres, redis] = await Promise.all([
    startPostgres({ dataDir: join(dir, 'postgres') }),
    server === undefined ? undefined : startRedis({ dataDir: join(dir, 'redis'), server }),
  ])
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

/** A whole installation: real API and worker processes, and the harness's own view of both stores. */
export interface System {
  servers: Servers
  apis: ManagedProcess[]
  workers: ManagedProcess[]
  serviceKey: string
  userIds: string[]
  databaseName: string
  db: Database
  queue: JobQueue<unknown>
  deadLetters: DeadLetterQueue
  startAll(): Promise<void>
  stop(): Promise<void>
}

export interface SystemOptions {
  name: string
  apis?: number
  workers?: number
  env?: Record<string, string>
  /** Default: redis. */
  queue?: QueueBackend['kind']
  /** Replaces the worker's main file; a path from the root of the repository. */
  workerMain?: string
}

const MAIN_FILES = { api: 'apps/api/src/main.ts', worker: 'apps/worker/src/main.ts' }
const USERS = 20
const ignore = () => {}

/** Creates the stores and the processes of a system. `startAll` starts the processes. */
export async function createSystem(servers: Servers, options: SystemOptions): Promise<System> {
  const { name, apis = 1, workers = 1, workerMain = MAIN_FILES.worker } = options
  const databaseName = `chaos_${name.replaceAll('-', '_')}_${randomUUID().slice(0, 8)}`
  const database = await createSystemDatabase(servers.postgres, databaseName)
  const userIds = Array.from({ length: USERS }, () => randomUUID())
  await addUsers(database.db, userIds)

  const backend = await prepareBackend(servers, options.queue ?? 'redis', databaseName)
  const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', ignore) : undefined
  await redis?.ping()
  const queue = openQueue<unknown>(STATUS_QUEUE, backend, redis, { onError: ignore })
  const deadLetters = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError: ignore })

  const env: Record<string, string> = {
    DATABASE_URL: database.url,
    ...(backend.kind === 'redis' && { REDIS_URL: backend.url }),
    QUEUE_PREFIX: databaseName,
    JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }),
    RATE_LIMIT_ENABLED: 'false',
    HOST: '127.0.0.1',
    ...options.env,
  }
  const createProcesses = (kind: 'api' | 'worker', count: number, main: string) =>
    Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const port = await findFreePort()
        return createManagedProcess({
          name: `${kind} ${index + 1}`,
          main,
          port,
          env: { ...env, [kind === 'api' ? 'PORT' : 'WORKER_PORT']: String(port) },
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
    async startAll() {
      await Promise.all(all.map((app) => app.start()))
      await Promise.all(all.map((app) => app.untilReady()))
    },
    async stop() {
      await Promise.all(all.map((app) => app.kill9()))
      await Promise.allSettled([queue.close(), deadLetters.close()])
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
  if (kind === 'redis') return { kind, url: requireRedis(servers).url, prefix: databaseName }
  const backend: QueueBackend = { kind, url: servers.postgres.url(databaseName), schema: 'bullmq' }
  await prepareQueueBackend(backend)
  return backend
}

/** @throws on a machine without Redis. */
export function requireRedis({ redis }: Pick<Servers, 'redis'>): RedisServer {
  if (redis === undefined) throw new Error('This row needs a redis-server or valkey-server on the PATH')
  return redis
}
