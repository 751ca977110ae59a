import { join, resolve } from 'node:path'
import { type Database, openDatabase } from '@tidings/db/database'
import { migrateDatabase } from '@tidings/db/migrate'
import { createDatabase, startPostgres } from '../servers/postgres.ts'
import { findRedisServer, startRedis } from '../servers/redis.ts'
import type { Releaser } from '../testing/releaser.ts'
import { chooseQueue, findQueueBefore, type QueueChoice } from './choose-queue.ts'
import { type DevKeys, ensureJwtKeys, ensureServiceKeys } from './dev-keys.ts'
import { assertDatabaseAnswers, assertRedisAnswers } from './external-stores.ts'
import { type DatabaseBefore, type DatabasePlace, findPreviousDatabase } from './previous-database.ts'
import type { StackOptions } from './stack.ts'

export interface BringUpStoresOptions extends StackOptions {
  dataDir: string
  /** What dev.env said after the start before. */
  earlier: Record<string, string | undefined>
  /** @throws when the start is to end early. */
  step(text: string): void
}

/** Everything that the apps stand on, ready for them. */
export interface Stores {
  databaseUrl: string
  database: DatabasePlace
  /** Where the database was at the start before, when it was another one. */
  databaseLeftBehind: DatabaseBefore | undefined
  /** Undefined when the queue is in PostgreSQL. */
  redisUrl: string | undefined
  queue: QueueChoice
  keys: DevKeys
  /** Whole, since each app may be started in another folder. Undefined when JWT_KEYS itself is given. */
  jwtKeysFile: string | undefined
}

const DATABASE = 'tidings'

/**
 * Starts PostgreSQL and Redis side by side, migrates, and makes the keys that are missing.
 *
 * @throws StartupError when a store that is asked for cannot be had.
 */
export async function bringUpStores(options: BringUpStoresOptions, releaser: Releaser): Promise<Stores> {
  const { env, dataDir, earlier, signal, step, onNotice, onGiveUp } = options
  const redisServer = findRedisServer(options.baseEnv.PATH)
  const before = await findQueueBefore(dataDir, earlier, env.REDIS_URL)
  const queue = chooseQueue({
    env,
    hasRedisServer: redisServer !== undefined,
    before,
    prefixBefore: earlier.QUEUE_PREFIX,
  })
  const databaseBefore = await findPreviousDatabase(dataDir, earlier, env.DATABASE_URL)
  const database = env.DATABASE_URL === undefined ? 'embedded' : 'given'
  const databaseLeftBehind = databaseBefore === database ? undefined : databaseBefore
  if (env.DATABASE_URL !== undefined) await assertDatabaseAnswers(env.DATABASE_URL)
  if (queue.place === 'redis-given' && env.REDIS_URL !== undefined) await assertRedisAnswers(env.REDIS_URL)
  const [postgres, redis] = await Promise.allSettled([bringUpPostgres(), bringUpRedis()])
  // Both have ended by now: what one of them started is released although the other failed.
  if (postgres.status === 'rejected') throw postgres.reason
  if (redis.status === 'rejected') throw redis.reason
  const databaseUrl = postgres.value
  const redisUrl = redis.value

  step('bringing the database to the newest schema')
  await migrateDatabase(databaseUrl)
  if (redisUrl === undefined) {
    // BullMQ is large, and only this case needs it here.
    const { prepareQueueBackend, queueBackendOf } = await import('@tidings/queue/backend')
    const settings = { QUEUE_PREFIX: env.QUEUE_PREFIX, QUEUE_BACKEND: 'postgres' } as const
    await prepareQueueBackend(queueBackendOf({ ...settings, DATABASE_URL: databaseUrl }))
  }
  const jwtKeysFile =
    env.JWT_KEYS === undefined ? resolve(env.JWT_KEYS_FILE ?? join(dataDir, 'jwt-keys.json')) : undefined
  if (jwtKeysFile !== undefined && env.JWT_KEYS_FILE === undefined) await ensureJwtKeys(jwtKeysFile)
  const keys = await withDatabase(databaseUrl, (db) => ensureServiceKeys(db, earlier))
  return { databaseUrl, database, databaseLeftBehind, redisUrl, queue, keys, jwtKeysFile }

  async function bringUpPostgres(): Promise<string> {
    if (env.DATABASE_URL !== undefined) return env.DATABASE_URL
    step('starting PostgreSQL')
    const postgres = await startPostgres({
      dataDir: join(dataDir, 'postgres'),
      // Not the port of one that was given: that is not ours to take.
      urlBefore: databaseBefore === 'embedded' ? earlier.DATABASE_URL : undefined,
    })
    releaser.onRelease(() => postgres.stop())
    bringBack('PostgreSQL', postgres)
    await createDatabase(postgres.adminUrl, DATABASE)
    return postgres.url(DATABASE)
  }

  async function bringUpRedis(): Promise<string | undefined> {
    if (queue.place === 'postgres') return undefined
    if (queue.place === 'redis-given') return env.REDIS_URL
    step('starting Redis')
    // The port of a Redis that was given is not ours to take.
    const urlBefore = before === 'redis-private' ? earlier.REDIS_URL : undefined
    const redis = await startRedis({ dataDir: join(dataDir, 'redis'), server: redisServer, urlBefore })
    releaser.onRelease(redis.stop)
    bringBack('Redis', redis)
    return redis.url
  }

  function bringBack(
    name: string,
    server: { start(): Promise<void>; onUnexpectedExit(l: () => void): void },
  ): void {
    server.onUnexpectedExit(() => {
      if (signal.aborted) return
      onNotice(`${name} ended unexpectedly; starting it again`)
      server.start().catch(() => onGiveUp(name))
    })
  }
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
