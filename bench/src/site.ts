import { generateKeyPairSync } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '@tidings/db/database'
import { migrateDatabase } from '@tidings/db/migrate'
import { createServiceKey } from '@tidings/db/operators/service-keys'
import { createReleaser } from '@tidings/stack/releaser'
import type { PostgresServer } from '@tidings/stack/servers/postgres'
import { createDatabase, startPostgres, withClient } from '@tidings/stack/servers/postgres'
import type { RedisServer } from '@tidings/stack/servers/redis'
import { requireRedisServer, startRedis } from '@tidings/stack/servers/redis'
import { Redis } from 'ioredis'
import pg from 'pg'
import { USERS, userIdOf } from './load/bodies.ts'

/** One PostgreSQL and one Redis, for every contender in turn. */
export interface Site {
  postgres: PostgresServer
  redis: RedisServer
  /** Commands to that Redis. */
  redisClient: Redis
  /** The database all contenders use: the product's own schema, with users. */
  databaseUrl: string
  pool: pg.Pool
  /** A key that every contender lets in. */
  apiKey: string
  logDir: string
  /** Private signing keys for access tokens, as JWT_KEYS takes them. */
  jwtKeys: string
  /** Empties the event table, Redis and the peers' own tables, and writes out what PostgreSQL has pending. */
  clear(): Promise<void>
  /** The same site with another database, made by the product's migrations, with the same users and key. */
  withDatabase(name: string): Promise<Site>
  stop(): Promise<void>
}

/** Durable on both sides, for every contender: nothing is acknowledged that a power cut takes back. */
export const POSTGRES_SETTINGS = {
  shared_buffers: '1GB',
  max_wal_size: '4GB',
  maintenance_work_mem: '512MB',
  // Lets a row tell when it was committed.
  track_commit_timestamp: 'on',
}

/** Every database is a copy of this one. */
const TEMPLATE = 'bench_template'

export async function openSite(): Promise<Site> {
  const releaser = createReleaser()
  try {
    const dir = await mkdtemp(join(tmpdir(), 'tidings-bench-'))
    releaser.onRelease(() => rm(dir, { recursive: true, force: true }))
    const logDir = join(dir, 'logs')
    await mkdir(logDir)
    const postgres = releaser.add(
      await startPostgres({ dataDir: join(dir, 'postgres'), settings: POSTGRES_SETTINGS }),
      (server) => server.stop('fast'),
    )
    const server = requireRedisServer(process.env.PATH)
    const redis = releaser.add(await startRedis({ dataDir: join(dir, 'redis'), server }), (it) => it.stop())
    const redisClient = releaser.add(new Redis(redis.url), (client) => client.disconnect())

    const jwtKeys = makeJwtKeys()
    await createDatabase(postgres.adminUrl, TEMPLATE)
    await migrateDatabase(postgres.url(TEMPLATE))
    await addUsers(postgres.url(TEMPLATE))
    const apiKey = await addServiceKey(postgres.url(TEMPLATE))

    async function withDatabase(name: string): Promise<Site> {
      await createDatabase(postgres.adminUrl, name, TEMPLATE)
      const databaseUrl = postgres.url(name)
      const pool = releaser.add(new pg.Pool({ connectionString: databaseUrl, max: 2 }), (p) => p.end())
      pool.on('error', () => {})
      async function clear() {
        await pool.query(
          `TRUNCATE notification_status;
           DROP SCHEMA IF EXISTS pgboss CASCADE;
           DROP SCHEMA IF EXISTS graphile_worker CASCADE`,
        )
        await redisClient.flushall()
        await pool.query('CHECKPOINT')
      }
      const stop = () => releaser.release()
      return {
        postgres,
        redis,
        redisClient,
        databaseUrl,
        pool,
        apiKey,
        jwtKeys,
        logDir,
        clear,
        withDatabase,
        stop,
      }
    }
    return await withDatabase('bench')
  } catch (error) {
    await releaser.release()
    throw error
  }
}

/** One Ed25519 key, as `tidings keys generate` makes it. */
function makeJwtKeys(): string {
  const { privateKey } = generateKeyPairSync('ed25519')
  return JSON.stringify({
    keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'bench', alg: 'EdDSA', use: 'sig' }],
  })
}

async function addUsers(databaseUrl: string): Promise<void> {
  const numbers = Array.from({ length: USERS }, (_, n) => n + 1)
  await withClient(databaseUrl, async (client) => {
    await client.query(
      `INSERT INTO users (id, email, name, password)
     SELECT id, 'bench-' || n || '@example.com', 'Bench User', '!' FROM unnest($1::uuid[], $2::int[]) AS u(id, n)`,
      [numbers.map(userIdOf), numbers],
    )
    await client.query('ANALYZE users')
  })
}

async function addServiceKey(databaseUrl: string): Promise<string> {
  const db = openDatabase({
    url: databaseUrl,
    applicationName: 'tidings-bench',
    maxConnections: 1,
    onError: () => {},
  })
  try {
    const created = await createServiceKey(db, 'bench', [
      'status:write:email',
      'status:write:push',
      'status:read',
      'users:read',
    ])
    if (created.outcome !== 'created') throw new Error(`No service key: ${created.outcome}`)
    return created.key
  } finally {
    await db.close()
  }
}
