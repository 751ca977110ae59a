import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrateDatabase } from '@tidings/db/migrate'
import { prepareQueueBackend } from '@tidings/queue/backend'
import type { TestProject } from 'vitest/node'
import { createReleaser } from '../releaser.ts'
import { createDatabase, startPostgres } from '../servers/postgres.ts'
import { findRedisServer, NO_REDIS_SERVER, startRedis } from '../servers/redis.ts'

/** The servers that all test files share. Each file creates its own database and queue there. */
export interface TestServers {
  postgresAdminUrl: string
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

async function startServers(
  add: ReturnType<typeof createReleaser>['add'],
  env: NodeJS.ProcessEnv,
): Promise<TestServers> {
  const dataDir = add(await mkdtemp(join(tmpdir(), 'tidings-test-')), (path) =>
    rm(path, { recursive: true, force: true }),
  )
  const redisProgram = findRedisServer(env.PATH)
  if (redisProgram === undefined)
    process.stderr.write(
      `\n  NO REDIS: ${NO_REDIS_SERVER}\n` +
        '  The suites run on the PostgreSQL queue backend only; the suites of Redis are skipped.\n\n',
    )
  const redis =
    redisProgram &&
    add(await startRedis({ dataDir: join(dataDir, 'redis'), server: redisProgram }), (s) => s.stop())
  const postgres = add(
    await startPostgres({
      dataDir: join(dataDir, 'postgres'),
      env,
      durable: false,
      settings: { max_connections: 400, shared_buffers: '128MB' },
    }),
    (server) => server.stop('immediate'),
  )
  await createDatabase(postgres.adminUrl, TEMPLATE_DATABASE)
  const templateUrl = postgres.url(TEMPLATE_DATABASE)
  await migrateDatabase(templateUrl)
  await prepareQueueBackend({ kind: 'postgres', url: templateUrl, schema: BULLMQ_SCHEMA })
  return {
    postgresAdminUrl: postgres.adminUrl,
    templateDatabase: TEMPLATE_DATABASE,
    redisUrl: redis ? redis.url : undefined,
    redisProgram,
  }
}
