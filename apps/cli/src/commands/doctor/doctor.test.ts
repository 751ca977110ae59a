import { addToOutbox } from '@tidings/db/events/event-outbox'
import { addIngestCounts } from '@tidings/db/events/ingest-counters'
import { createPartitionsAhead, listPartitions } from '@tidings/db/events/partitions'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { addMessage } from '@tidings/db/users/outbound-messages'
import { openWorker } from '@tidings/queue/backend'
import { openRedis } from '@tidings/queue/open-redis'
import { shardNames } from '@tidings/queue/queue-names'
import { makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import { statusEventSchema } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import type { Releaser } from '@tidings/stack/releaser'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestDatabase,
  databaseVariables,
  describeBackends,
  describeRedis,
  startTestCluster,
  startTestRedis,
  testRedisUrl,
  testShards,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../../testing/cli-lab.ts'
import { type Cli, createCli, linesOf } from '../../testing/cli-process.ts'
import type { CheckResult } from './check-result.ts'

const NOWHERE = { postgres: 'postgres://x:x@127.0.0.1:1/x', redis: 'redis://127.0.0.1:1' }

async function examine(cli: Cli) {
  const { exitCode, stdout, stderr } = await cli.run('doctor', '-o', 'json')
  const checks: CheckResult[] = JSON.parse(stdout)
  return {
    exitCode,
    stderr,
    names: checks.map(({ check }) => check),
    /** Everything that is not as it should be. */
    complaints: checks.filter(({ result }) => result !== 'ok'),
    found: (name: string) => checks.find(({ check }) => check === name)?.found,
  }
}

/** Connects a worker that takes no jobs. */
async function connectWorker(lab: CliLab, releaser: Releaser) {
  for (const shard of shardNames(testShards(lab.backend))) {
    const worker = openWorker(shard, lab.backend, async () => {}, { autorun: false })
    worker.on('error', () => undefined)
    await worker.waitUntilReady()
    releaser.add(worker, (opened) => opened.close())
  }
  await waitFor('the worker to be seen', async () => (await lab.store.countWorkers()) === 1)
}

const newEvents = (count: number) =>
  Array.from({ length: count }, () => statusEventSchema.parse(makeFailedEvent().event))

describeBackends('tidings doctor', (kind) => {
  const releaser = useReleaser()
  let lab: CliLab

  beforeAll(async () => {
    lab = await createCliLab(kind, releaser)
    await connectWorker(lab, releaser)
  })
  beforeEach(() => lab.empty())

  const accept = (accepted: number) => addIngestCounts(lab.db.database, { accepted })
  const store = (stored: number) =>
    storeStatusEvents(
      lab.db.database,
      Array.from({ length: stored }, () => makeEvent()),
    )
  /** The CLI with other stores. */
  const withStores = (stores: Record<string, string>) =>
    createCli({ ...(lab.cli.env as Record<string, string>), ...stores })

  test('every check of a healthy system is ok: exit code 0', async () => {
    await accept(3)
    await store(3)
    const { exitCode, stderr, names, complaints, found } = await examine(lab.cli)
    expect({ exitCode, stderr, complaints }).toEqual({ exitCode: 0, stderr: '', complaints: [] })
    expect(names).toEqual([
      ...['PostgreSQL', 'Schema', 'Outbox', 'Outbound messages', 'Partitions', 'Queue'],
      ...(kind === 'redis' ? ['Durability'] : []),
      ...['Workers', 'Main queue', 'Failed jobs', 'Dead letters', 'Events', 'Statistics', 'Hooks'],
    ])
    expect(found('Workers')).toBe('1 connected')
    expect(found('Events')).toBe('3 accepted; 3 stored, 0 duplicate, 0 dead, 0 in flight')
    const { stdout } = await lab.cli.run('doctor')
    expect(linesOf(stdout).map((line) => line.split('\t').slice(0, 2))).toEqual(
      names.map((name) => ['ok', name]),
    )
  })

  test('dead letters are a warning: exit code 0', async () => {
    await accept(2)
    await lab.bury(2)
    const { exitCode, complaints } = await examine(lab.cli)
    expect(exitCode).toBe(0)
    expect(complaints).toMatchObject([{ check: 'Dead letters', result: 'warning', found: '2' }])
  })

  test('a missing partition and rows in the default one are warnings: exit code 0', async () => {
    const { pool } = lab.db.database
    const next = (await listPartitions(pool)).find(({ from }) => from !== null && from > new Date())
    await pool.query(`DROP TABLE ${next?.name}`)
    const month = next?.from?.toISOString().slice(0, 7)
    const missing = await examine(lab.cli)
    expect(missing).toMatchObject({
      exitCode: 0,
      complaints: [{ result: 'warning', found: `none for ${month}` }],
    })
    await createPartitionsAhead(lab.db.database, new Date())
    await addIngestCounts(lab.db.database, { accepted: 1 })
    await storeStatusEvents(
      lab.db.database,
      newEvents(1).map((event) => ({ ...event, received_at: '1999-12-31T23:59:59.999Z' })),
    )
    const { exitCode, complaints } = await examine(lab.cli)
    expect(exitCode).toBe(0)
    expect(complaints).toMatchObject([
      { check: 'Partitions', result: 'warning', found: 'rows in notification_status_default' },
    ])
  })

  test.runIf(kind === 'redis')('jobs that are in no list are a failure: exit code 1', async () => {
    if (lab.backend.kind !== 'redis') return
    const redis = openRedis(lab.backend, 'patient', () => undefined)
    const job = await lab.main.add('any', { v: 1, events: [] })
    await redis.del(lab.main.toKey('wait'))
    const { exitCode, complaints } = await examine(lab.cli)
    await redis.del(lab.main.toKey(job.id ?? ''))
    redis.disconnect()
    expect(exitCode).toBe(1)
    expect(complaints).toMatchObject([{ check: 'Lost jobs', result: 'failure', found: '1 in no list' }])
  })

  test('the report counts deleted and imported dead letters', async () => {
    await accept(5)
    await store(2)
    await lab.bury(3)
    const exported = (await lab.cli.run('dlq', 'export')).stdout
    await lab.cli.run('dlq', 'delete', '--all', '--yes')
    const deleted = await examine(lab.cli)
    expect(deleted).toMatchObject({ exitCode: 0, complaints: [] })
    expect(deleted.found('Events')).toBe('5 accepted; 2 stored, 0 duplicate, 0 dead, 3 deleted, 0 in flight')
    await lab.cli.pipe(exported, 'dlq', 'import', '-')
    const imported = await examine(lab.cli)
    expect(imported.complaints).toMatchObject([{ check: 'Dead letters' }])
    expect(imported.found('Events')).toBe(
      '5 accepted + 3 imported; 2 stored, 0 duplicate, 3 dead, 3 deleted, 0 in flight',
    )
  })

  test.each([
    {
      accepted: 5,
      stored: 3,
      advice: /^2 more accepted than found\. A killed process .* If Redis was emptied, .* is gone\./,
    },
    { accepted: 3, stored: 5, advice: /^2 more found than accepted: an API was killed .* a producer writes/ },
  ])('a difference is a warning with what can explain it: exit code 0', async (counts) => {
    await accept(counts.accepted)
    await store(counts.stored)
    const { exitCode, stderr, complaints } = await examine(lab.cli)
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(complaints).toMatchObject([{ check: 'Events', result: 'warning' }])
    expect(complaints[0]?.advice).toMatch(counts.advice)
  })

  test('statistics that differ from the rows are a warning, with what can explain it: exit code 0', async () => {
    await accept(3)
    await store(3)
    expect((await examine(lab.cli)).found('Statistics')).toBe('3 counted and stored in 2d')
    const { pool } = lab.db.database
    const complaint = async () => {
      const { exitCode, complaints } = await examine(lab.cli)
      return { exitCode, ...complaints.find(({ check }) => check === 'Statistics') }
    }
    await pool.query('UPDATE status_counts SET count = count - 1')
    expect(await complaint()).toMatchObject({
      exitCode: 0,
      result: 'warning',
      found: expect.stringMatching(/^1 hour differs, the first at .*:00:00\.000Z: 2 counted, 3 rows$/),
      advice: expect.stringContaining('a worker of an older version'),
    })
    await pool.query('DELETE FROM notification_status')
    expect(await complaint()).toMatchObject({ advice: expect.stringContaining('a retention period') })
  })

  test('events in the outbox are a warning, and count as in flight', async () => {
    await accept(2)
    await addToOutbox(lab.db.database, newEvents(2), 'the queue was away')
    const { exitCode, complaints, found } = await examine(lab.cli)
    expect(exitCode).toBe(0)
    expect(complaints).toMatchObject([{ check: 'Outbox', result: 'warning', found: '2' }])
    expect(found('Events')).toBe('2 accepted; 0 stored, 0 duplicate, 0 dead, 2 in flight')
  })

  test('an outbound message that has waited for minutes is a warning', async () => {
    const { pool } = lab.db.database
    await addMessage(lab.db.database, { kind: 'password_reset', userId: null, to: 'a@example.com' })
    expect((await examine(lab.cli)).complaints).toEqual([])
    await pool.query("UPDATE outbound_messages SET created_at = now() - interval '4 minutes'")
    const { complaints } = await examine(lab.cli)
    await pool.query('DELETE FROM outbound_messages')
    expect(complaints).toMatchObject([
      {
        check: 'Outbound messages',
        result: 'warning',
        found: expect.stringMatching(/^1 pending, oldest 4m/),
      },
    ])
  })

  test('a schema that lacks migrations is a failure: exit code 1', async () => {
    const db = await createTestDatabase(releaser)
    const cli = withStores(databaseVariables(db))
    const { rows } = await db.database.pool.query<{ known: number }>(
      'SELECT count(*)::int AS known FROM drizzle.__drizzle_migrations',
    )
    const known = rows[0]?.known ?? 0
    const expectBehind = async (applied: number) => {
      const { exitCode, complaints } = await examine(cli)
      expect(exitCode).toBe(1)
      expect(complaints).toContainEqual({
        check: 'Schema',
        result: 'failure',
        found: `${applied} of ${known} migrations`,
        advice: 'Run pnpm db:migrate.',
      })
    }
    await db.database.pool.query(
      'DELETE FROM drizzle.__drizzle_migrations WHERE id = (SELECT max(id) FROM drizzle.__drizzle_migrations)',
    )
    await expectBehind(known - 1)
    // As in a database before its first migration.
    await db.database.pool.query('DROP SCHEMA drizzle CASCADE; DROP SCHEMA public CASCADE')
    await expectBehind(0)
  })

  test('a PostgreSQL whose disk is full is a failure: exit code 1', async () => {
    const { pool } = lab.db.database
    await pool.query(`
      CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
      CREATE TRIGGER disk_full BEFORE INSERT ON ingest_counters FOR EACH ROW EXECUTE FUNCTION disk_full()`)
    try {
      const { exitCode, complaints } = await examine(lab.cli)
      expect(exitCode).toBe(1)
      expect(complaints).toMatchObject([
        {
          check: 'PostgreSQL',
          result: 'failure',
          found: expect.stringContaining('takes no writes: could not'),
        },
      ])
      // It tries nothing where it may change nothing.
      expect((await lab.cli.run('--read-only', 'doctor')).exitCode).toBe(0)
    } finally {
      await pool.query('DROP FUNCTION disk_full CASCADE')
    }
  })

  test('exit code 6 when PostgreSQL does not answer; the other checks still run', async () => {
    const { exitCode, stderr, complaints, names } = await examine(
      withStores({ DATABASE_URL: NOWHERE.postgres }),
    )
    expect({ exitCode, stderr }).toEqual({ exitCode: 6, stderr: 'tidings: A store does not answer.\n' })
    expect(complaints[0]).toMatchObject({ check: 'PostgreSQL', result: 'failure', isUnreachable: true })
    expect(complaints[0]?.found).toContain('ECONNREFUSED')
    if (kind === 'redis') expect(names).toContain('Dead letters')
    expect(names).not.toContain('Events')
  })

  test.runIf(kind === 'redis')('exit code 6 when Redis does not answer', async () => {
    const { exitCode, complaints, found } = await examine(withStores({ REDIS_URL: NOWHERE.redis }))
    expect(exitCode).toBe(6)
    expect(complaints).toMatchObject([{ check: 'Queue', result: 'failure', isUnreachable: true }])
    expect(found('Schema')).toContain('up to date')
    expect(found('Queue')).toMatch(/^Redis does not answer: .*ECONNREFUSED/)
  })

  test.runIf(kind === 'redis').each([
    ['a wrong password', (url: string) => url.replace('//', '//nobody:wrong@'), /^Redis refuses: WRONGPASS /],
    [
      'TLS where Redis has none',
      (url: string) => url.replace('redis', 'rediss'),
      /^Redis does not answer: ./,
    ],
  ])('shows why Redis cannot be used: %s', async (_, change, reason) => {
    const { exitCode, found, stderr } = await examine(withStores({ REDIS_URL: change(testRedisUrl()) }))
    expect({ exitCode, stderr }).toEqual({ exitCode: 6, stderr: 'tidings: A store does not answer.\n' })
    expect(found('Queue')).toMatch(reason)
  })
})

describeBackends('tidings doctor without a worker', (kind) => {
  const releaser = useReleaser()

  test('fails when jobs wait, and tells the age of the oldest: exit code 1', async () => {
    const lab = await createCliLab(kind, releaser)
    const idle = await examine(lab.cli)
    expect(idle).toMatchObject({ exitCode: 0, complaints: [{ check: 'Workers', result: 'warning' }] })
    expect(idle.found('Workers')).toBe('0 connected')

    await lab.main.add('envelope', { v: 1, events: [] }, { timestamp: Date.now() - 30_000 })
    const { exitCode, stderr, complaints, found } = await examine(lab.cli)
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/^tidings: 1 of \d+ checks failed\.\n$/)
    expect(complaints).toContainEqual(
      expect.objectContaining({ check: 'Workers', result: 'failure', found: '0 connected, and 1 job waits' }),
    )
    expect(found('Main queue')).toMatch(/^1 waiting, 0 active, 0 delayed, oldest 3\ds$/)

    await connectWorker(lab, releaser)
    expect(await examine(lab.cli)).toMatchObject({ exitCode: 0 })
  })
})

describeRedis('tidings doctor --repair', () => {
  const releaser = useReleaser()

  test('mends what doctor has named, and leaves keys of another type: exit code 5', async () => {
    const lab = await createCliLab('redis', releaser)
    if (lab.backend.kind !== 'redis') throw new Error('This needs the keys of Redis')
    const redis = releaser.add(
      openRedis(lab.backend, 'operator', () => undefined),
      (opened) => opened.disconnect(),
    )
    const keyOf = (id: string) => lab.deadQueueOf(id).toKey(id)
    const [whole = '', lost = '', hidden = '', other = ''] = await lab.bury(4)
    for (const id of [lost, other]) await redis.del(keyOf(id))
    await redis.zrem(lab.deadQueueOf(hidden).toKey('prioritized'), hidden)
    await redis.set(keyOf(other), 'x')

    const named = await examine(lab.cli)
    expect(named.exitCode).toBe(1)
    // Each shard names its own, in its turn.
    const damaged = named.complaints.filter(({ check }) => check === 'Damaged dead letters')
    const byText = damaged.toSorted((one, two) => (String(one.found) < String(two.found) ? -1 : 1))
    expect(byText).toMatchObject([
      { found: `counted, but their content is gone: ${lost}`, advice: 'Mend them: tidings doctor --repair' },
      { found: expect.stringContaining(other), advice: expect.stringContaining('Another program') },
      { found: `there, but in no list: ${hidden}`, advice: 'Mend them: tidings doctor --repair' },
    ])

    expect(await lab.cli.run('doctor', '--repair')).toMatchObject({ exitCode: 2, stdout: '' })
    expect(await lab.cli.run('doctor', '--repair', '--probe')).toMatchObject({ exitCode: 64 })
    const mended = await lab.cli.run('doctor', '--repair', '--yes', '-o', 'json')
    expect(mended.exitCode).toBe(5)
    expect(new Set(JSON.parse(mended.stdout))).toEqual(
      new Set([
        { id: lost, damage: 'no_content' },
        { id: hidden, damage: 'no_place' },
        { id: other, damage: 'other_type' },
      ]),
    )
    await redis.del(keyOf(other))
    await lab.cli.run('doctor', '--repair', '--yes')
    const ids = (await lab.cli.run('dlq', 'list', '-o', 'id')).stdout.trim().split('\n')
    expect(ids.toSorted()).toEqual([whole, hidden].toSorted())
    expect((await lab.cli.run('doctor', '--repair', '--yes')).stderr).toBe('No dead letter is damaged.\n')
    expect(await lab.audit()).toMatchObject([
      { action: 'doctor.repair', result: 'started' },
      { action: 'doctor.repair', result: 'done', changed: 2 },
      { result: 'started' },
      { result: 'done', changed: 1 },
    ])
  })
})

describe('tidings doctor without a configuration', () => {
  test('says once what is missing and where it looked: exit code 1', async () => {
    const { exitCode, stdout, stderr } = await createCli({ DATA_DIR: '/nope' }).run('doctor')
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
    expect(stderr.match(/DATABASE_URL: /g)).toHaveLength(1)
    expect(stderr).toContain('no /nope/dev.env')
    expect(stderr).not.toContain('Is it running?')
  })
})

describeRedis('tidings doctor where the API waits for replicas', () => {
  const releaser = useReleaser()

  test('fails while a master has too few', async () => {
    const master = await startTestRedis(releaser, { 'repl-diskless-sync-delay': 0 })
    const { url } = await createTestDatabase(releaser)
    const cli = createCli({ DATABASE_URL: url, REDIS_URL: master.url, ACK_REPLICAS: '1' })
    const alone = await examine(cli)
    expect(alone.complaints).toContainEqual(
      expect.objectContaining({
        check: 'Replicas',
        result: 'failure',
        found: '0 connected, and ACK_REPLICAS is 1',
      }),
    )
    await startTestRedis(releaser, { replicaof: `127.0.0.1 ${master.port}` })
    await waitFor(
      'the replica',
      async () => (await examine(cli)).found('Replicas') === '1 connected to each master',
      { timeoutMs: 20_000 },
    )
  })
})

describeRedis('tidings doctor on a Redis that shows neither its settings nor its clients', () => {
  const releaser = useReleaser()

  test('calls durability and workers unknown: exit code 0', async () => {
    const redis = await startTestRedis(releaser)
    const admin = openRedis(redis, 'operator', () => undefined)
    await admin.call(
      'ACL',
      'SETUSER',
      'restricted',
      'on',
      '>secret',
      '~*',
      '&*',
      '+@all',
      '-@admin',
      '-@dangerous',
    )
    admin.disconnect()
    const { url } = await createTestDatabase(releaser)
    const { exitCode, complaints, found } = await examine(
      createCli({ DATABASE_URL: url, REDIS_URL: redis.url.replace('//', '//restricted:secret@') }),
    )
    expect(exitCode).toBe(0)
    expect(found('Queue')).toBe('Redis of unknown version')
    expect(complaints).toMatchObject([
      {
        check: 'Durability',
        result: 'warning',
        found: 'unknown: Redis does not show its settings to this user',
      },
      { check: 'Workers', result: 'warning', found: 'unknown: the store does not show its clients' },
    ])
  })
})

describeRedis('tidings doctor on a Redis Cluster', () => {
  const releaser = useReleaser()

  test('looks at all shards, and shows why the cluster cannot be used', async () => {
    const { url: REDIS_URL } = await startTestCluster(releaser)
    const shared = { ...databaseVariables(await createTestDatabase(releaser)), QUEUE_SHARDS: '6' }
    const { exitCode, complaints, found } = await examine(createCli({ ...shared, REDIS_URL }))
    expect({ exitCode, complaints }).toMatchObject({ exitCode: 0, complaints: [{ check: 'Workers' }] })
    expect(found('Queue')).toMatch(/cluster of 3 masters$/)
    const away = await examine(createCli({ ...shared, REDIS_URL: REDIS_URL.replace('redis', 'rediss') }))
    expect(away.exitCode).toBe(6)
    expect(away.found('Queue')).toMatch(/^Redis does not answer: ./)
  })
})

describeRedis('tidings doctor on a Redis without durability', () => {
  const releaser = useReleaser()

  test('names each setting that could lose events: exit code 1', async () => {
    const settings = { appendonly: 'no', appendfsync: 'everysec', 'maxmemory-policy': 'allkeys-lru' }
    const redis = await startTestRedis(releaser, settings)
    const { url } = await createTestDatabase(releaser)
    const { exitCode, stderr, ...found } = await examine(
      createCli({ DATABASE_URL: url, REDIS_URL: redis.url }),
    )
    const complaints = found.complaints.filter(({ check }) => check === 'Durability')
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/^tidings: 3 of \d+ checks failed\.\n$/)
    expect(complaints).toMatchObject(
      Object.entries(settings).map(([name, value]) => ({
        check: 'Durability',
        result: 'failure',
        found: `${name} is ${value}`,
      })),
    )
    expect(complaints.map(({ advice }) => advice?.split(':')[0])).toEqual([
      'Set it to yes',
      'Set it to always',
      'Set it to noeviction',
    ])
  })
})

describeRedis('tidings doctor on a Redis that became a read-only replica', () => {
  const releaser = useReleaser()

  test('says that it takes no writes: exit code 1', async () => {
    const redis = await startTestRedis(releaser)
    const control = releaser.add(
      openRedis(redis, 'patient', () => {}),
      (connection) => connection.disconnect(),
    )
    await control.replicaof('127.0.0.1', 1)
    const { url } = await createTestDatabase(releaser)
    const { exitCode, complaints } = await examine(createCli({ DATABASE_URL: url, REDIS_URL: redis.url }))
    expect(exitCode).toBe(1)
    expect(complaints).toMatchObject([
      { check: 'Queue', result: 'failure', found: expect.stringContaining('takes no writes: READONLY') },
      { check: 'Workers', result: 'warning' },
    ])
  })
})
