import { randomBytes } from 'node:crypto'
import { type Database, openDatabase } from '@tidings/db/database'
import type { QueueBackend } from '@tidings/queue/backend'
import { Redis } from 'ioredis'
import { afterAll, describe, inject } from 'vitest'
import { createDatabase, withClient } from '../servers/postgres.ts'
import { waitFor } from '../servers/wait-for.ts'
import { createReleaser, type Releaser } from './releaser.ts'
import { BULLMQ_SCHEMA } from './test-setup.ts'

/*
 * What test files take from the servers of test-setup.ts:
 *
 *   describeBackends('publishing', (kind) => {
 *     const releaser = useReleaser()
 *     let database: TestDatabase
 *     beforeAll(async () => {
 *       database = await createTestDatabase(releaser)
 *       backend = await createTestBackend(kind, releaser, database)
 *     })
 *
 * Whatever is opened on top is given to the releaser too; a connection that is still open when its database
 * goes fails the file.
 */

/** A releaser that runs after the last test of this file, or of the surrounding describe. */
export function useReleaser(): Releaser {
  const releaser = createReleaser()
  afterAll(() => releaser.release())
  return releaser
}

export interface TestDatabase {
  url: string
  database: Database
}

/** A fresh, migrated database with an open pool; dropped at the end, when nothing may be connected to it. */
export async function createTestDatabase(releaser: Releaser): Promise<TestDatabase> {
  const { postgresAdminUrl, templateDatabase } = inject('servers')
  const name = `test_${randomBytes(6).toString('hex')}`
  await createDatabase(postgresAdminUrl, name, templateDatabase)
  releaser.onRelease(() => dropTestDatabase(postgresAdminUrl, name))
  const url = new URL(postgresAdminUrl)
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

async function dropTestDatabase(adminUrl: string, name: string): Promise<void> {
  await withClient(adminUrl, async (client) => {
    const listConnections = async () =>
      (await client.query('SELECT application_name, query FROM pg_stat_activity WHERE datname = $1', [name]))
        .rows
    // The server learns of a closed connection a moment later.
    const leaked = await waitFor('connections to close', async () => (await listConnections()).length === 0, {
      timeoutMs: 3_000,
    }).then(
      () => [],
      () => listConnections(),
    )
    await client.query(`DROP DATABASE ${client.escapeIdentifier(name)} WITH (FORCE)`)
    if (leaked.length > 0) throw new Error(`Connections were left open: ${JSON.stringify(leaked)}`)
  })
}

export type BackendKind = QueueBackend['kind']

/** The queue backends that this machine can run. */
export function availableBackends(): BackendKind[] {
  return inject('servers').redisUrl === undefined ? ['postgres'] : ['redis', 'postgres']
}

/**
 * A queue of one's own: a prefix in the shared Redis, emptied at the end, or the BullMQ tables in
 * `database` (in a fresh one when none is given).
 */
export async function createTestBackend(
  kind: BackendKind,
  releaser: Releaser,
  database?: { url: string },
): Promise<QueueBackend> {
  if (kind === 'postgres') {
    const { url } = database ?? (await createTestDatabase(releaser))
    return { kind, url, schema: BULLMQ_SCHEMA }
  }
  const url = testRedisUrl()
  const prefix = `test-${randomBytes(6).toString('hex')}`
  releaser.onRelease(() => deleteKeys(url, prefix))
  return { kind, url, prefix }
}

/** The shared Redis. Only inside describeRedis or a Redis suite of describeBackends. */
export function testRedisUrl(): string {
  const { redisUrl } = inject('servers')
  if (redisUrl === undefined) throw new Error('This machine has no Redis: use describeRedis')
  return redisUrl
}

async function deleteKeys(url: string, prefix: string): Promise<void> {
  const redis = new Redis(url)
  try {
    for await (const keys of redis.scanStream({ match: `${prefix}*`, count: 1_000 }))
      if (keys.length > 0) await redis.unlink(...keys)
  } finally {
    redis.disconnect()
  }
}

/** A suite for each backend; without a Redis its suite is shown as skipped. */
export function describeBackends(name: string, suite: (kind: BackendKind) => void): void {
  describeRedis(`${name} (redis)`, () => suite('redis'))
  describe(`${name} (postgres)`, () => suite('postgres'))
}

/** A suite that only makes sense with Redis; without one it is shown as skipped. */
export function describeRedis(name: string, suite: () => void): void {
  const hasRedis = inject('servers').redisUrl !== undefined
  describe.skipIf(!hasRedis)(hasRedis ? name : `${name}: NO REDIS ON THE PATH`, suite)
}
