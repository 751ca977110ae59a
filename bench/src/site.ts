import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Database } from '@tidings/db/database'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import { createReleaser } from '@tidings/stack/releaser'
import { askRedis } from '@tidings/stack/servers/ask-redis'
import type { PostgresServer } from '@tidings/stack/servers/postgres'
import { startPostgres } from '@tidings/stack/servers/postgres'
import { type RedisServer, requireRedisServer, startRedis } from '@tidings/stack/servers/redis'
import { type RedisClusterOptions, startRedisCluster } from '@tidings/stack/servers/redis-cluster'
import { addUsers, createSystemDatabase } from '@tidings/stack/testing/system-database'
import { PEER_TABLE } from '../peers/contract/insert.ts'
import { childEnv } from './env.ts'
import { EVENT_SOURCE, USERS, userIdOf } from './load/bodies.ts'

/** The queue's store: one Redis, or the nodes of a cluster. */
export interface QueueStore {
  url: string
  /** For processor time. */
  pids: readonly number[]
  /** Memory that the keys take, in bytes. */
  usedBytes(): Promise<number>
  clear(): Promise<void>
}

/** One PostgreSQL, one Redis and a database; the contenders use them in turn. */
export interface Site {
  postgres: PostgresServer
  queue: QueueStore
  /** A database with the product's schema and the benchmark's users. */
  databaseUrl: string
  pool: Database['pool']
  /** Every contender accepts this bearer key. */
  apiKey: string
  logDir: string
  /** Private signing keys for access tokens, in the format of JWT_KEYS. */
  jwtKeys: string
  /** Empties the event table, Redis and the peers' own tables, then runs a checkpoint. */
  clear(): Promise<void>
  /** The same servers with another database. `checkout` names the checkout whose migrations create it; default: this one. */
  withDatabase(name: string, checkout?: string): Promise<Site>
  /** The same database with a cluster for the queue. It runs until the site stops. */
  withCluster(size: Pick<RedisClusterOptions, 'masters' | 'replicas'>): Promise<Site>
  stop(): Promise<void>
}

/** The same for every contender. Commits stay durable: fsync and synchronous_commit keep their defaults. */
export const POSTGRES_SETTINGS = {
  shared_buffers: '1GB',
  max_wal_size: '4GB',
  maintenance_work_mem: '512MB',
  // measureIngest reads each row's commit time.
  track_commit_timestamp: 'on',
}

/** To fill a table with ten million rows takes minutes. */
const STATEMENT_LIMIT_MS = 3_600_000

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
    const server = requireRedisServer(childEnv({}).PATH)
    const redis = releaser.add(await startRedis({ dataDir: join(dir, 'redis'), server }), (it) => it.stop())
    const queue = toQueueStore(redis.url, [redis], [redis])
    let clusters = 0
    async function startCluster(size: Pick<RedisClusterOptions, 'masters' | 'replicas'>) {
      const dataDir = join(dir, `cluster-${++clusters}`)
      const cluster = releaser.add(await startRedisCluster({ dataDir, server, ...size }), (it) => it.stop())
      return toQueueStore(cluster.url, cluster.nodes, await cluster.masters())
    }
    const jwtKeys = JSON.stringify({ keys: [generateSigningKey()] })

    async function withDatabase(name: string, checkout?: string): Promise<Site> {
      const { url, db, serviceKey } = await createSystemDatabase(postgres, name, {
        source: EVENT_SOURCE,
        statementTimeoutMs: STATEMENT_LIMIT_MS,
        ...(checkout !== undefined && { migrate: (databaseUrl) => migrateWith(checkout, databaseUrl) }),
      })
      const { pool } = releaser.add(db, (opened) => opened.close())
      await pool.query(
        `CREATE TABLE ${PEER_TABLE} (LIKE notification_status INCLUDING INDEXES);
         ALTER TABLE ${PEER_TABLE} DROP CONSTRAINT IF EXISTS ${PEER_TABLE}_pkey, ADD PRIMARY KEY (id),
           ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE SET NULL`,
      )
      await addUsers(
        db,
        Array.from({ length: USERS }, (_, n) => userIdOf(n + 1)),
      )
      await pool.query('ANALYZE users')
      const site: Site = {
        postgres,
        queue,
        databaseUrl: url,
        pool,
        apiKey: serviceKey,
        jwtKeys,
        logDir,
        async clear() {
          await pool.query(
            `TRUNCATE notification_status, ${PEER_TABLE};
             ${checkout === undefined ? 'TRUNCATE event_keys;' : ''}
             DROP SCHEMA IF EXISTS pgboss CASCADE;
             DROP SCHEMA IF EXISTS graphile_worker CASCADE`,
          )
          await this.queue.clear()
          await pool.query('CHECKPOINT')
        },
        withDatabase,
        async withCluster(size) {
          const cluster = await startCluster(size)
          return { ...site, queue: cluster }
        },
        stop: () => releaser.release(),
      }
      return site
    }
    return await withDatabase('bench')
  } catch (error) {
    await releaser.release()
    throw error
  }
}

function toQueueStore(
  url: string,
  nodes: readonly RedisServer[],
  masters: readonly RedisServer[],
): QueueStore {
  return {
    url,
    pids: nodes.map(({ pid }) => pid),
    async usedBytes() {
      const infos = await Promise.all(masters.map(({ port }) => askRedis(port, 'INFO', 'memory')))
      return infos.reduce<number>(
        (sum, info) => sum + Number(/^used_memory_dataset:(\d+)/m.exec(String(info))?.[1]),
        0,
      )
    },
    async clear() {
      await Promise.all(masters.map(({ port }) => askRedis(port, 'FLUSHALL')))
    },
  }
}

/** Another checkout may have another schema: its own migrations create its database. */
async function migrateWith(checkout: string, databaseUrl: string): Promise<void> {
  const env = childEnv({ DATABASE_URL: databaseUrl })
  await promisify(execFile)(process.execPath, ['packages/db/src/main.ts'], { cwd: checkout, env })
}
