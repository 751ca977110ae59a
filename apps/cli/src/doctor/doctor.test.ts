import { addToOutbox } from '@tidings/db/events/event-outbox'
import { bookAccepted, createIngestAccount } from '@tidings/db/events/ingest-counters'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { makeFailedEvent } from '@tidings/queue/testing/dead-letter-fixtures'
import { statusEventSchema } from '@tidings/shared/status-event'
import {
  createTestDatabase,
  describeBackends,
  describeRedis,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type CliLab, createCliLab } from '../testing/cli-lab.ts'
import { type Cli, createCli, linesOf } from '../testing/cli-process.ts'
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

const newEvents = (count: number) =>
  Array.from({ length: count }, () => statusEventSchema.parse(makeFailedEvent().event))

describeBackends('tidings doctor', (kind) => {
  const releaser = useReleaser()
  let lab: CliLab

  beforeAll(async () => {
    lab = await createCliLab(kind, releaser)
  })
  beforeEach(async () => {
    await lab.empty()
    await lab.db.database.pool.query('TRUNCATE ingest_accounts, event_outbox')
  })

  const accept = (events: number) => bookAccepted(lab.db.database.pool, account, events)
  const store = (count: number) => storeStatusEvents(lab.db.database, newEvents(count))
  /** The same program with other stores. */
  const withStores = (stores: Record<string, string>) =>
    createCli({ ...(lab.cli.env as Record<string, string>), ...stores })

  test('a healthy system: every check is ok, exit code 0', async () => {
    await accept(3)
    await store(3)
    const { exitCode, stderr, names, complaints, found } = await examine(lab.cli)
    expect({ exitCode, stderr, complaints }).toEqual({ exitCode: 0, stderr: '', complaints: [] })
    expect(names).toEqual([
      ...['PostgreSQL', 'Schema', 'Parked events', 'Queue'],
      ...(kind === 'redis' ? ['Durability'] : []),
      ...['Main queue', 'Failed jobs', 'Dead letters', 'Accounting'],
    ])
    expect(found('Accounting')).toBe('3 accepted; 3 stored, 0 duplicate, 0 dead, 0 in flight')
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

  test('accepted events that are nowhere: exit code 1, and how many', async () => {
    await accept(5)
    await store(2)
    const ids = await lab.bury(3)
    expect(await examine(lab.cli)).toMatchObject({ exitCode: 0 })
    // Behind everybody's back: an operator's deletion would be in the audit table.
    await lab.store.discard(await lab.store.get(ids.slice(0, 2)))
    const { exitCode, stderr, complaints } = await examine(lab.cli)
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/^tidings: 1 of \d+ checks failed\.\n$/)
    expect(complaints).toContainEqual({
      check: 'Accounting',
      result: 'failure',
      found: '5 accepted; 2 stored, 0 duplicate, 1 dead, 0 in flight',
      advice: '2 accepted events are nowhere. Keep all logs.',
    })
  })

  test('more than were accepted is a warning, and says where it may come from: exit code 0', async () => {
    await accept(5)
    await store(7)
    const advice = async () => {
      const { exitCode, complaints } = await examine(lab.cli)
      expect({ exitCode, complaints }).toMatchObject({ exitCode: 0, complaints: [{ result: 'warning' }] })
      return complaints[0]?.advice
    }
    expect(await advice()).toMatch(/^2 more than were booked: an API was killed .* a producer writes/)
    await bookAccepted(lab.db.database.pool, account, 5, 1)
    expect(await advice()).toMatch(/^2 more than were booked/)
    await bookAccepted(lab.db.database.pool, account, 5, 2)
    expect(await advice()).toMatch(/^2 were found on both ways: .* no answer in time for 2,/)
  })

  test('parked events are counted, as a warning and as on their way', async () => {
    await accept(2)
    await addToOutbox(lab.db.database, newEvents(2), 'the queue was away')
    const { exitCode, complaints, found } = await examine(lab.cli)
    expect(exitCode).toBe(0)
    expect(complaints).toMatchObject([{ check: 'Parked events', result: 'warning', found: '2' }])
    expect(found('Accounting')).toBe('2 accepted; 0 stored, 0 duplicate, 0 dead, 2 in flight')
  })

  test('a schema that is behind: exit code 1, and what to run', async () => {
    const db = await createTestDatabase(releaser)
    const cli = withStores({ DATABASE_URL: db.url })
    const { rows } = await db.database.pool.query<{ known: number }>(
      'SELECT count(*)::int AS known FROM drizzle.__drizzle_migrations',
    )
    const known = rows[0]?.known ?? 0
    const behind = (applied: number) => ({
      exitCode: 1,
      complaints: [
        {
          check: 'Schema',
          result: 'failure',
          found: `${applied} of ${known} migrations`,
          advice: 'Run pnpm db:migrate.',
        },
      ],
    })
    await db.database.pool.query(
      'DELETE FROM drizzle.__drizzle_migrations WHERE id = (SELECT max(id) FROM drizzle.__drizzle_migrations)',
    )
    expect(await examine(cli)).toMatchObject(behind(known - 1))
    // As before the first migration.
    await db.database.pool.query('DROP SCHEMA drizzle CASCADE; DROP SCHEMA public CASCADE')
    expect(await examine(cli)).toMatchObject(behind(0))
  })

  test('PostgreSQL away: exit code 6, and the other checks are made all the same', async () => {
    const { exitCode, stderr, complaints, names } = await examine(
      withStores({ DATABASE_URL: NOWHERE.postgres }),
    )
    expect({ exitCode, stderr }).toEqual({ exitCode: 6, stderr: 'tidings: A store does not answer.\n' })
    expect(complaints[0]).toMatchObject({ check: 'PostgreSQL', result: 'failure', isUnreachable: true })
    expect(complaints[0]?.found).toContain('ECONNREFUSED')
    if (kind === 'redis') expect(names).toContain('Dead letters')
    expect(names).not.toContain('Accounting')
  })

  test.runIf(kind === 'redis')('Redis away: exit code 6', async () => {
    const { exitCode, complaints, found } = await examine(withStores({ REDIS_URL: NOWHERE.redis }))
    expect(exitCode).toBe(6)
    expect(complaints).toMatchObject([{ check: 'Queue', result: 'failure', isUnreachable: true }])
    expect(found('Schema')).toContain('up to date')
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

describeRedis('tidings doctor on a Redis that forgets', () => {
  const releaser = useReleaser()

  test('each setting that loses events is named: exit code 1', async () => {
    const settings = { appendonly: 'no', appendfsync: 'everysec', 'maxmemory-policy': 'allkeys-lru' }
    const redis = await startTestRedis(releaser, settings)
    const { url } = await createTestDatabase(releaser)
    const { exitCode, stderr, complaints } = await examine(
      createCli({ DATABASE_URL: url, REDIS_URL: redis.url }),
    )
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
