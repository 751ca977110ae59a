import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Database, openDatabase } from '@tidings/db/database'
import type { QueueBackend } from '@tidings/queue/backend'
import { mastersOf, openRedis } from '@tidings/queue/open-redis'
import { isCluster } from '@tidings/queue/queue-names'
import { afterAll, describe, inject } from 'vitest'
import { createReleaser, type Releaser } from '../releaser.ts'
import { createDatabase, withClient } from '../servers/postgres.ts'
import { type RedisServer, startRedis } from '../servers/redis.ts'
import { type RedisCluster, type RedisClusterOptions, startRedisCluster } from '../servers/redis-cluster.ts'
import { type SentinelSet, type SentinelSetOptions, startSentinelSet } from '../servers/redis-sentinel.ts'
import { waitFor } from '../servers/wait-for.ts'
import { BULLMQ_SCHEMA } from './test-setup.ts'

/*
 * Gives test files their own databases and queues on the servers of test-setup.ts:
 *
 *   describeBackends('publishing', (kind) => {
 *     const releaser = useReleaser()
 *     let database: TestDatabase
 *     beforeAll(async () => {
 *       database = await createTestDatabase(releaser)
 *       backend = await createTestBackend(kind, releaser, database)
 *     })
 *
 * Register the release of everything else that a test opens: a connection that is open when its database is dropped
 * fails the file.
 */

/** Returns a releaser that runs after the last test of the surrounding describe, or of the file. */
export function useReleaser(): Releaser {
  const releaser = createReleaser()
  afterAll(() => releaser.release())
  return releaser
}

/** Creates a temporary folder that is removed at the end. */
export async function makeTestFolder(releaser: Releaser): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tidings-test-'))
  return releaser.add(folder, (path) => rm(path, { recursive: true, force: true }))
}

export interface TestDatabase {
  /** Through the pooler, when TEST_TOPOLOGY asks for one. */
  url: string
  database: Database
}

const CLOSE_LIMIT_MS = 15_000

/**
 * Creates a migrated database and opens a pool. It is dropped at the end, when nothing may be connected to it.
 *
 * @param closeLimitMs how long connections may take to close before the drop.
 */
export const createTestDatabase = (
  releaser: Releaser,
  closeLimitMs = CLOSE_LIMIT_MS,
): Promise<TestDatabase> => createMigrated(inject('servers').poolerUrl, releaser, closeLimitMs)

/** As createTestDatabase, never through a pooler: for tests of roles, settings and poolers of their own. */
export const createDirectDatabase = (releaser: Releaser): Promise<TestDatabase> =>
  createMigrated(undefined, releaser, CLOSE_LIMIT_MS)

async function createMigrated(
  poolerUrl: string | undefined,
  releaser: Releaser,
  closeLimitMs: number,
): Promise<TestDatabase> {
  const { postgresAdminUrl, templateDatabase } = inject('servers')
  const name = `test_${randomBytes(6).toString('hex')}`
  await createDatabase(postgresAdminUrl, name, templateDatabase)
  releaser.onRelease(() => dropTestDatabase(name, poolerUrl, closeLimitMs))
  const url = new URL(poolerUrl ?? postgresAdminUrl)
  url.pathname = `/${name}`
  const database = openDatabase({
    url: url.href,
    applicationName: 'tidings-test',
    maxConnections: 5,
    connectTimeoutMs: 10_000,
    onError: () => {},
  })
  releaser.onRelease(() => database.close())
  return { url: url.href, database }
}

/** What an app or the command line needs in its environment to use a test's database. */
export function databaseVariables({ url }: Pick<TestDatabase, 'url'>): Record<string, string> {
  const direct = inject('servers').topology === 'pgbouncer-transaction' ? directUrlOf(url) : url
  return { DATABASE_URL: url, ...(direct !== url && { DATABASE_DIRECT_URL: direct }) }
}

/** The URL of a test's database past the pooler, if TEST_TOPOLOGY asks for one. Leaves other URLs as they are. */
export function directUrlOf(url: string): string {
  const { postgresAdminUrl, poolerUrl } = inject('servers')
  if (poolerUrl === undefined || new URL(url).port !== new URL(poolerUrl).port) return url
  return Object.assign(new URL(postgresAdminUrl), { pathname: new URL(url).pathname }).href
}

/** The number of shards for whole systems in tests: on a cluster several, so that each master has some. */
export const testShards = (backend: QueueBackend): number => (isCluster(backend) ? 6 : 1)

async function dropTestDatabase(
  name: string,
  poolerUrl: string | undefined,
  closeLimitMs: number,
): Promise<void> {
  const clients = poolerUrl === undefined ? [] : await closePool(poolerUrl, name, closeLimitMs)
  await withClient(inject('servers').postgresAdminUrl, async (client) => {
    const listConnections = async () =>
      (await client.query('SELECT application_name, query FROM pg_stat_activity WHERE datname = $1', [name]))
        .rows
    // The server notices a closed connection a moment later.
    const leaked = [...clients, ...(await listAfter(closeLimitMs, listConnections))]
    await client.query(`DROP DATABASE ${client.escapeIdentifier(name)} WITH (FORCE)`)
    if (leaked.length > 0) throw new Error(`Connections were left open: ${JSON.stringify(leaked)}`)
  })
}

/** Lets the pooler close its own connections to a database. Returns the clients that are connected to it. */
async function closePool(poolerUrl: string, database: string, closeLimitMs: number): Promise<unknown[]> {
  return withClient(poolerUrl, async (client) => {
    const listClients = async () =>
      (await client.query('SHOW CLIENTS')).rows.filter((each) => each.database === database)
    const leaked = await listAfter(closeLimitMs, listClients)
    // It refuses this for a database that nobody has used.
    await client.query(`RECONNECT ${database}`).catch(() => {})
    return leaked
  })
}

/** Returns an empty list as soon as `list` does, and what it lists when that takes too long. */
const listAfter = (limitMs: number, list: () => Promise<unknown[]>): Promise<unknown[]> =>
  waitFor('an empty list', async () => (await list()).length === 0, {
    timeoutMs: limitMs,
    intervalMs: 10,
  }).then(() => [], list)

export type BackendKind = QueueBackend['kind']

/** Returns the queue backends that this machine can run. */
export function availableBackends(): BackendKind[] {
  return inject('servers').redisUrl === undefined ? ['postgres'] : ['redis', 'postgres']
}

/**
 * Creates a queue backend that no other test uses. For Redis that is a prefix in the shared server, whose keys are
 * deleted at the end. For PostgreSQL it is BullMQ's schema in `database`, or in a new database when none is given.
 */
export async function createTestBackend(
  kind: BackendKind,
  releaser: Releaser,
  database?: { url: string },
): Promise<QueueBackend> {
  if (kind === 'postgres') {
    const { url } = database ?? (await createTestDatabase(releaser))
    return { kind, url: directUrlOf(url), schema: BULLMQ_SCHEMA }
  }
  const url = testRedisUrl()
  const prefix = `test-${randomBytes(6).toString('hex')}`
  releaser.onRelease(() => deleteKeys(url, prefix))
  return { kind, url, prefix }
}

const NO_REDIS = 'This machine has no Redis: use describeRedis'

/** Returns the URL of the shared Redis. Use it inside describeRedis or a Redis suite of describeBackends. */
export function testRedisUrl(): string {
  const { redisUrl } = inject('servers')
  if (redisUrl === undefined) throw new Error(NO_REDIS)
  return redisUrl
}

/**
 * Starts a Redis that no other test uses, for tests that stop, freeze or fill it. It is stopped at the end. Use it
 * inside describeRedis.
 *
 * @param settings as in redis.conf, over the durable defaults.
 */
export async function startTestRedis(
  releaser: Releaser,
  settings: Record<string, string | number> = {},
): Promise<RedisServer> {
  const { redisProgram } = inject('servers')
  if (redisProgram === undefined) throw new Error(NO_REDIS)
  const dataDir = await makeTestFolder(releaser)
  const redis = await startRedis({ dataDir, server: redisProgram, settings })
  return releaser.add(redis, (server) => server.stop())
}

/** Starts a Redis Cluster of three masters. It is stopped at the end. Use it inside describeRedis. */
export async function startTestCluster(
  releaser: Releaser,
  options: Partial<RedisClusterOptions> = {},
): Promise<RedisCluster> {
  const { redisProgram } = inject('servers')
  if (redisProgram === undefined) throw new Error(NO_REDIS)
  const dataDir = await makeTestFolder(releaser)
  const cluster = await startRedisCluster({ dataDir, server: redisProgram, replicas: 0, ...options })
  return releaser.add(cluster, (started) => started.stop())
}

/** Starts a master, a replica and three Sentinels. They are stopped at the end. Use it inside describeRedis. */
export async function startTestSentinels(
  releaser: Releaser,
  options: Partial<SentinelSetOptions> = {},
): Promise<SentinelSet> {
  const { redisProgram } = inject('servers')
  if (redisProgram === undefined) throw new Error(NO_REDIS)
  const dataDir = await makeTestFolder(releaser)
  return releaser.add(await startSentinelSet({ dataDir, server: redisProgram, ...options }), (set) =>
    set.stop(),
  )
}

async function deleteKeys(url: string, prefix: string): Promise<void> {
  const redis = openRedis({ url }, 'patient', () => {})
  try {
    await redis.ping()
    // One by one: on a cluster they may be in different slots.
    for (const master of mastersOf(redis))
      for await (const keys of master.scanStream({ match: `${prefix}*`, count: 1_000 }))
        await Promise.all(keys.map((key: string) => master.unlink(key)))
  } finally {
    redis.disconnect()
  }
}

/** Defines a suite for each backend. Without a Redis its suite is reported as skipped. */
export function describeBackends(name: string, suite: (kind: BackendKind) => void): void {
  describeRedis(`${name} (redis)`, () => suite('redis'))
  describe(`${name} (postgres)`, () => suite('postgres'))
}

/** Defines a suite that needs Redis. Without one it is reported as skipped. */
export function describeRedis(name: string, suite: () => void): void {
  const hasRedis = inject('servers').redisUrl !== undefined
  describe.skipIf(!hasRedis)(hasRedis ? name : `${name}: NO REDIS ON THE PATH`, suite)
}
