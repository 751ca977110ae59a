import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrateDatabase } from '@tidings/db/migrate'
import { prepareQueueBackend } from '@tidings/queue/backend'
import type { TestProject } from 'vitest/node'
import { createReleaser, type Releaser } from '../releaser.ts'
import { findProgram } from '../servers/find-program.ts'
import { startPgbouncer } from '../servers/pgbouncer.ts'
import { createDatabase, startPostgres } from '../servers/postgres.ts'
import { findRedisServer, NO_REDIS_SERVER, startRedis } from '../servers/redis.ts'
import { startRedisCluster } from '../servers/redis-cluster.ts'

/**
 * What the tests share, by TEST_TOPOLOGY. Without it: one Redis and one PostgreSQL.
 * - `cluster`: a Redis Cluster of three masters with a replica each, and six shards.
 * - `pgbouncer-session`, `pgbouncer-transaction`: a PgBouncer in this mode before every test's database.
 */
const TOPOLOGIES = ['single', 'cluster', 'pgbouncer-session', 'pgbouncer-transaction'] as const
export type TestTopology = (typeof TOPOLOGIES)[number]
/** In session mode each connection of a pool keeps a server connection; in transaction mode few serve all. */
const POOL_SIZES = { session: 60, transaction: 10 }

/** The servers that all test files share. Each file creates its own database and queue there. */
export interface TestServers {
  topology: TestTopology
  postgresAdminUrl: string
  /** The console of the PgBouncer that is before every test's database. Undefined without one. */
  poolerUrl: string | undefined
  /** A migrated database to copy. */
  templateDatabase: string
  /** Undefined when the machine has no Redis. */
  redisUrl: string | undefined
  /** The program of that Redis, for tests that start another one. */
  redisProgram: string | undefined
}

declare module 'vitest' {
  export interface ProvidedContext {
    servers: TestServers
  }
}

const TEMPLATE_DATABASE = 'tidings_template'
export const BULLMQ_SCHEMA = 'bullmq'

/** Vitest's global setup: starts a private PostgreSQL and, if the machine has one, a private Redis. Returns the teardown. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const releaser = createReleaser()
  try {
    project.provide('servers', await startServers(releaser.add, process.env))
  } catch (error) {
    await releaser.release()
    throw error
  }
  return releaser.release
}

type Add = Releaser['add']

async function startServers(add: Add, env: NodeJS.ProcessEnv): Promise<TestServers> {
  const topology = readTopology(env.TEST_TOPOLOGY)
  const dataDir = add(await mkdtemp(join(tmpdir(), 'tidings-test-')), (path) =>
    rm(path, { recursive: true, force: true }),
  )
  const redisProgram = findRedisServer(env.PATH)
  if (redisProgram === undefined)
    process.stderr.write(
      `\n  NO REDIS: ${NO_REDIS_SERVER}\n` +
        '  The suites run on the PostgreSQL queue backend only; the suites of Redis are skipped.\n\n',
    )
  const redisUrl =
    redisProgram &&
    (await startSharedRedis(topology, { dataDir: join(dataDir, 'redis'), server: redisProgram }, add))
  const postgres = add(
    await startPostgres({
      dataDir: join(dataDir, 'postgres'),
      env,
      durable: false,
      settings: {
        max_connections: 400,
        shared_buffers: '128MB',
        ...(topology === 'pgbouncer-transaction' && { client_connection_check_interval: '1s' }),
      },
    }),
    (server) => server.stop('immediate'),
  )
  await createDatabase(postgres.adminUrl, TEMPLATE_DATABASE)
  const templateUrl = postgres.url(TEMPLATE_DATABASE)
  await migrateDatabase(templateUrl)
  await prepareQueueBackend({ kind: 'postgres', url: templateUrl, schema: BULLMQ_SCHEMA })
  return {
    topology,
    postgresAdminUrl: postgres.adminUrl,
    poolerUrl: await startPooler(topology, postgres.adminUrl, join(dataDir, 'pgbouncer'), env.PATH, add),
    templateDatabase: TEMPLATE_DATABASE,
    redisUrl,
    redisProgram,
  }
}

/** @throws when there is no such topology. */
function readTopology(name = 'single'): TestTopology {
  const topology = TOPOLOGIES.find((each) => each === name)
  if (topology === undefined) throw new Error(`TEST_TOPOLOGY must be one of ${TOPOLOGIES.join(', ')}`)
  return topology
}

async function startSharedRedis(
  topology: TestTopology,
  options: { dataDir: string; server: string },
  add: Add,
): Promise<string> {
  const start = topology === 'cluster' ? startRedisCluster : startRedis
  const started: { url: string; stop(): Promise<void> } = await start(options)
  return add(started, (it) => it.stop()).url
}

async function startPooler(
  topology: TestTopology,
  target: string,
  dataDir: string,
  path: string | undefined,
  add: Add,
): Promise<string | undefined> {
  const poolMode = (['session', 'transaction'] as const).find((mode) => topology === `pgbouncer-${mode}`)
  if (poolMode === undefined) return undefined
  const program = findProgram('pgbouncer', path)
  if (program === undefined) throw new Error('There is no pgbouncer on the PATH')
  const options = { dataDir, program, target, poolMode, poolSize: POOL_SIZES[poolMode] }
  return add(await startPgbouncer(options), (it) => it.stop()).url('pgbouncer')
}
