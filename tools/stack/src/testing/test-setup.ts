import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrateDatabase } from '@tidings/db/migrate'
import { prepareQueueBackend } from '@tidings/queue/backend'
import type { TestProject } from 'vitest/node'
import { createDatabase, startPostgres } from '../servers/postgres.ts'
import { findRedisServer, startRedis } from '../servers/redis.ts'

/** The servers that all test files share; each file takes a database and a queue of its own from them. */
export interface TestServers {
  postgresAdminUrl: string
  /** A migrated database to copy. */
  templateDatabase: string
  /** Absent when the machine has no Redis. */
  redisUrl: string | undefined
}

declare module 'vitest' {
  export interface ProvidedContext {
    servers: TestServers
  }
}

export const TEMPLATE_DATABASE = 'tidings_template'
export const BULLMQ_SCHEMA = 'bullmq'

/** Vitest's global setup: one private PostgreSQL and, where there is one to run, one private Redis. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tidings-test-'))
  const postgres = await startPostgres({
    dataDir: join(dataDir, 'postgres'),
    durable: false,
    settings: { max_connections: 400, shared_buffers: '128MB' },
  })
  await createDatabase(postgres.adminUrl, TEMPLATE_DATABASE)
  const templateUrl = postgres.url(TEMPLATE_DATABASE)
  await migrateDatabase(templateUrl)
  await prepareQueueBackend({ kind: 'postgres', url: templateUrl, schema: BULLMQ_SCHEMA })

  const server = findRedisServer()
  if (server === undefined)
    process.stderr.write(
      '\n  NO REDIS: there is no redis-server or valkey-server on the PATH.\n' +
        '  The suites run on the PostgreSQL queue backend only; those of Redis are skipped.\n\n',
    )
  const redis = server ? await startRedis({ dataDir: join(dataDir, 'redis'), server }) : undefined
  project.provide('servers', {
    postgresAdminUrl: postgres.adminUrl,
    templateDatabase: TEMPLATE_DATABASE,
    redisUrl: redis?.url,
  })

  return async () => {
    await redis?.stop()
    await postgres.stop('immediate')
    await rm(dataDir, { recursive: true, force: true })
  }
}
