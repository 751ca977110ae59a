import { join } from 'node:path'
import { openQueue, type RedisBackend } from '@tidings/queue/backend'
import { buryEvents, type DeadLetterQueue } from '@tidings/queue/dead-letters/bury'
import { deadLetterId, placeOf } from '@tidings/queue/dead-letters/entry-id'
import { nodeOf, openRedis } from '@tidings/queue/open-redis'
import { deadLetterNames } from '@tidings/queue/queue-names'
import { makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import { waitUntilReady } from '@tidings/queue/wait-until-ready'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import {
  createTestDatabase,
  describeRedis,
  makeTestFolder,
  startTestCluster,
  type TestDatabase,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { EXIT } from '../../exit-codes.ts'
import { type Cli, createCli } from '../../testing/cli-process.ts'

const SHARDS = 6
const LETTERS = 30

describeRedis('the command line while a master of the cluster is away', () => {
  const releaser = useReleaser()
  let cli: Cli
  let database: TestDatabase
  /** The ids of the dead letters on the other masters, and on the one that is away. */
  let present: string[]
  let away: string[]
  let exported: string

  beforeAll(async () => {
    const cluster = await startTestCluster(releaser, {
      nodeTimeoutMs: 1_000,
      settings: { 'cluster-require-full-coverage': 'no' },
    })
    database = await createTestDatabase(releaser)
    const backend: RedisBackend = { kind: 'redis', url: cluster.url, prefix: 'test' }
    const redis = openRedis(backend, 'operator', () => {})
    releaser.onRelease(() => redis.disconnect())
    await waitUntilReady(redis)
    const dead: DeadLetterQueue[] = deadLetterNames(backend, SHARDS).map((name) =>
      releaser.add(openQueue<DeadLetter>(name, backend, redis, { onError: () => {} }), (queue) =>
        queue.close(),
      ),
    )
    const letters = Array.from({ length: LETTERS }, () => makeFailedEvent())
    await buryEvents(dead, letters, async () => new Set())
    const [, node] = cluster.nodes
    const isAway = (id: string) => {
      const queue = dead[placeOf(id, SHARDS)]
      return queue !== undefined && nodeOf(redis, queue.toKey('')).options.port === node?.port
    }
    const ids = letters.map(deadLetterId)
    present = ids.filter((id) => !isAway(id))
    away = ids.filter(isAway)
    cli = createCli({
      DATABASE_URL: database.url,
      REDIS_URL: cluster.url,
      QUEUE_PREFIX: 'test',
      QUEUE_SHARDS: String(SHARDS),
      TIDINGS_OPERATOR: 'ada',
    })
    exported = join(await makeTestFolder(releaser), 'dead.ndjson')
    expect(await cli.run('dlq', 'export', exported)).toMatchObject({ exitCode: EXIT.ok })
    const { stdout } = await cli.run('doctor', '-o', 'json')
    expect(failedChecks(stdout)).toEqual([])
    await node?.kill9()
  })

  const checksSchema = z.array(z.object({ check: z.string(), result: z.string() }))
  const failedChecks = (stdout: string) =>
    checksSchema
      .parse(JSON.parse(stdout))
      .filter(({ result }) => result === 'failure')
      .map(({ check }) => check)

  const LEFT_OUT =
    /^tidings: A master of the Redis Cluster does not answer\. Left out are the dead letters of 2 of 6 shards: status-events-dead-\d, status-events-dead-\d\.$/m

  it('lists, groups and counts the others, says which are left out, and ends with 5', async () => {
    const list = await cli.run('dlq', 'list', '--limit', '100', '-o', 'id')
    expect(list.stdout.trim().split('\n').sort()).toEqual(present.toSorted())
    const groups = await cli.run('dlq', 'groups', '-o', 'json')
    expect(JSON.parse(groups.stdout)).toMatchObject([{ count: present.length }])
    const stats = await cli.run('dlq', 'stats', '-o', 'json')
    expect(JSON.parse(stats.stdout)).toMatchObject({ depth: present.length })
    for (const { exitCode, stderr } of [list, groups, stats]) {
      expect(exitCode).toBe(EXIT.partial)
      expect(stderr).toMatch(LEFT_OUT)
    }
  })

  it('shows one, and does not say of one that may be there that there is none', async () => {
    expect(await cli.run('dlq', 'show', present[0] ?? '', '-o', 'id')).toMatchObject({
      exitCode: EXIT.partial,
    })
    const { exitCode, stderr } = await cli.run('dlq', 'show', away[0] ?? '')
    expect(exitCode).toBe(EXIT.unreachable)
    expect(stderr).toMatch(LEFT_OUT)
  })

  it('refuses what must not miss one: an erasure, an export of a user, an import', async () => {
    const email = 'a@example.com'
    await database.database.pool.query(
      `INSERT INTO users (id, email, name, password) VALUES (gen_random_uuid(), $1, 'A', '!')`,
      [email],
    )
    for (const args of [
      ['users', 'erase', email, '--yes'],
      ['users', 'export', email],
      ['dlq', 'import', exported],
    ]) {
      const { exitCode, stderr } = await cli.run(...args)
      expect([args[1], exitCode, stderr]).toEqual([
        args[1],
        EXIT.unreachable,
        expect.stringContaining('Left out are'),
      ])
    }
    const { rows } = await database.database.pool.query('SELECT email FROM users')
    expect(rows).toEqual([{ email }])
  })

  it('checks the rest with doctor', async () => {
    const { exitCode, stdout } = await cli.run('doctor', '-o', 'json')
    expect(exitCode).toBe(EXIT.failure)
    expect(failedChecks(stdout)).toEqual(['Queue'])
    expect(stdout).toContain('"Durability"')
    expect(stdout).toContain('"Dead letters"')
  })

  it('redrives the others', async () => {
    const { exitCode, stdout } = await cli.run('dlq', 'redrive', '--all', '--yes', '-o', 'json')
    expect(exitCode).toBe(EXIT.partial)
    expect(JSON.parse(stdout)).toMatchObject({ redriven: present.length, gone: 0 })
  })
})
