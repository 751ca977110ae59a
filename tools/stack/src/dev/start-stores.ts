import { join, resolve } from 'node:path'
import { type Database, openDatabase } from '@tidings/db/database'
import { migrateDatabase } from '@tidings/db/migrate'
import type { EnvFileVariables } from '@tidings/runtime/env-file'
import type { Releaser } from '../releaser.ts'
import { createDatabase, startPostgres } from '../servers/postgres.ts'
import { findRedisServer, startRedis } from '../servers/redis.ts'
import { chooseQueue, type QueueChoice } from './choose-queue.ts'
import { type DevKeys, ensureEmailServiceKey, ensureJwtKeys, ensureServiceKeys } from './dev-keys.ts'
import { assertDatabaseAnswers, assertRedisAnswers } from './external-stores.ts'
import type { DatabasePlace, StackOptions } from './stack.ts'

export interface StartStoresOptions extends StackOptions {
  dataDir: string
  /** The contents of dev.env after the previous start. */
  previous: EnvFileVariables
  /** Reports a step. @throws when the start must end early. */
  step(text: string): void
}

/** What the apps need: migrated stores and keys. */
export interface Stores {
  databaseUrl: string
  /** The same database past a pooler, when DATABASE_URL leads through one. */
  directUrl: string | undefined
  database: DatabasePlace
  /** Undefined when the queue is in PostgreSQL. */
  redisUrl: string | undefined
  queue: QueueChoice
  keys: DevKeys
  emailServiceKey: string
  /** An absolute path, because each app may run in another folder. Undefined when JWT_KEYS holds the keys. */
  jwtKeysFile: string | undefined
}

const DATABASE = 'tidings'

/**
 * Starts PostgreSQL and Redis at the same time, migrates the database, and makes the missing keys.
 *
 * @throws StartupError when a store that the environment asks for cannot be used.
 */
export async function startStores(options: StartStoresOptions, releaser: Releaser): Promise<Stores> {
  const { env, dataDir, step } = options
  const redisServer = findRedisServer(options.baseEnv.PATH)
  const queue = chooseQueue(env, redisServer !== undefined)
  if (env.DATABASE_URL !== undefined) await assertDatabaseAnswers(env.DATABASE_URL)
  if (queue.place === 'redis-external' && env.REDIS_URL !== undefined) await assertRedisAnswers(env.REDIS_URL)
  // Both settle before a failure is thrown, so that the releaser knows the server that did start.
  const [postgres, redis] = await Promise.allSettled([
    preparePostgres(options, releaser),
    prepareRedis(options, queue, redisServer, releaser),
  ])
  if (postgres.status === 'rejected') throw postgres.reason
  if (redis.status === 'rejected') throw redis.reason
  const databaseUrl = postgres.value

  step('bringing the database to the newest schema')
  const directUrl = env.DATABASE_URL === undefined ? undefined : env.DATABASE_DIRECT_URL
  await migrateDatabase(directUrl ?? databaseUrl)
  if (queue.place === 'postgres') {
    // Imported only here: loading BullMQ takes long, and a queue in Redis does not need it.
    const { prepareQueueBackend, queueBackendOf } = await import('@tidings/queue/backend')
    const settings = { QUEUE_PREFIX: env.QUEUE_PREFIX, QUEUE_BACKEND: 'postgres' } as const
    await prepareQueueBackend(queueBackendOf({ ...settings, DATABASE_URL: directUrl ?? databaseUrl }))
  }
  const ownKeysFile = join(dataDir, 'jwt-keys.json')
  const jwtKeysFile = env.JWT_KEYS === undefined ? resolve(env.JWT_KEYS_FILE ?? ownKeysFile) : undefined
  if (jwtKeysFile === ownKeysFile) await ensureJwtKeys(jwtKeysFile)
  const allKeys = await withDatabase(databaseUrl, async (db) => ({
    keys: await ensureServiceKeys(db, options.previous),
    emailServiceKey: await ensureEmailServiceKey(db, join(dataDir, 'email-service.key')),
  }))
  return {
    ...allKeys,
    databaseUrl,
    directUrl,
    database: env.DATABASE_URL === undefined ? 'embedded' : 'external',
    redisUrl: redis.value,
    queue,
    jwtKeysFile,
  }
}

/** Returns the URL of the database that the apps use. */
async function preparePostgres(options: StartStoresOptions, releaser: Releaser): Promise<string> {
  const { env, baseEnv, dataDir, step } = options
  if (env.DATABASE_URL !== undefined) return env.DATABASE_URL
  step('starting PostgreSQL')
  const postgres = await startPostgres({ dataDir: join(dataDir, 'postgres'), env: baseEnv })
  releaser.onRelease(() => postgres.stop())
  restartOnExit('PostgreSQL', postgres, options)
  await createDatabase(postgres.adminUrl, DATABASE)
  return postgres.url(DATABASE)
}

/** Returns the URL of the Redis that the apps use, if any. */
async function prepareRedis(
  options: StartStoresOptions,
  queue: QueueChoice,
  server: string | undefined,
  releaser: Releaser,
): Promise<string | undefined> {
  const { env, dataDir, step } = options
  if (queue.place === 'redis-external') return env.REDIS_URL
  if (queue.place !== 'redis-private' || server === undefined) return undefined
  step('starting Redis')
  const redis = await startRedis({ dataDir: join(dataDir, 'redis'), server })
  releaser.onRelease(redis.stop)
  restartOnExit('Redis', redis, options)
  return redis.url
}

interface RestartableServer {
  start(): Promise<void>
  onUnexpectedExit(listener: () => void): void
}

function restartOnExit(
  name: string,
  server: RestartableServer,
  { signal, onNotice, onGiveUp }: StackOptions,
): void {
  server.onUnexpectedExit(() => {
    if (signal.aborted) return
    onNotice(`${name} ended unexpectedly; restarting it`)
    server.start().catch(() => onGiveUp(name))
  })
}

async function withDatabase<T>(url: string, use: (db: Database) => Promise<T>): Promise<T> {
  const db = openDatabase({
    url,
    applicationName: 'tidings-start',
    maxConnections: 1,
    connectTimeoutMs: 10_000,
    onError: () => {},
  })
  try {
    return await use(db)
  } finally {
    await db.close()
  }
}
