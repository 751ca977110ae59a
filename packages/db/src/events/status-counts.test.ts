import { randomUUID } from 'node:crypto'
import type { StatusEvent } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { compareCounts } from './compare-counts.ts'
import { PROBE_SOURCE } from './probe-events.ts'
import {
  countStoredEvents,
  countsStatement,
  findRangeProblem,
  MAX_COUNTS,
  readDeliveryRates,
  readStatusCounts,
} from './status-counts.ts'
import { storeStatusEvents } from './status-events.ts'

const DAY_MS = 86_400_000
const ago = (ms: number) => new Date(Date.now() - ms)
const at = (event: StatusEvent, received_at: string): StatusEvent => ({ ...event, received_at })

describe('the counts of stored events', () => {
  const releaser = useReleaser()
  let db: Database
  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
  })
  beforeEach(async () => {
    await db.pool.query('TRUNCATE notification_status, event_keys, status_counts')
  })

  const countRows = async () =>
    (await db.pool.query<{ n: number }>('SELECT count(*)::int AS n FROM notification_status')).rows[0]?.n

  it('are those of the rows, while many statements store the same events, repeats and conflicts', async () => {
    const keys = Array.from({ length: 60 }, () => randomUUID())
    const statuses = ['sent', 'delivered', 'opened', 'clicked'] as const
    const batch = (writer: number) => {
      const shared = keys.map((event_id, n) =>
        makeEvent({
          event_id,
          status: statuses[(n + (n % 7 === 0 ? writer : 0)) % 4] ?? 'sent',
          provider: `p${n % 5}`,
        }),
      )
      const own = Array.from({ length: 40 }, (_, n) => makeEvent({ status: statuses[n % 4] ?? 'sent' }))
      const all = [...shared, ...own, ...own.slice(0, 5), makeEvent({ user_id: randomUUID() })]
      return writer % 2 === 0 ? all : all.reverse()
    }
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, writer) => storeStatusEvents(db, batch(writer))),
    )
    const stored = outcomes.flat().filter((outcome) => outcome === 'stored').length
    expect(stored).toBe(60 + 40 * 40)
    expect(new Set(outcomes.flat())).toEqual(new Set(['stored', 'duplicate', 'conflict', 'unknown_user']))
    expect([await countRows(), await countStoredEvents(db)]).toEqual([stored, stored])
    expect(await compareCounts(db)).toMatchObject({ counted: stored, differing: [] })
    const { rows } = await db.pool.query(
      `SELECT status, provider, n FROM (
         SELECT status, coalesce(provider, '') AS provider, count(*) AS n FROM notification_status GROUP BY 1, 2) AS r
       EXCEPT SELECT status, provider, sum(count) FROM status_counts GROUP BY 1, 2`,
    )
    expect(rows).toEqual([])
  })

  it('are written with the rows or not at all when the connection is killed between the two', async () => {
    const locker = await db.pool.connect()
    await locker.query('BEGIN; LOCK TABLE status_counts IN SHARE MODE')
    const writing = storeStatusEvents(db, [makeEvent(), makeEvent()])
    const refused = expect(writing).rejects.toThrow()
    await waitFor('the statement to wait for the counts and be killed', async () => {
      const { rows } = await locker.query(
        `SELECT pg_terminate_backend(pid) FROM pg_locks
         WHERE relation = 'status_counts'::regclass AND NOT granted`,
      )
      return rows.length > 0
    })
    await refused
    await locker.query('COMMIT')
    locker.release()
    expect([await countRows(), await countStoredEvents(db)]).toEqual([0, 0])
  })

  it('are written with the rows or not at all when the counts cannot be written', async () => {
    await db.pool.query(`ALTER TABLE status_counts ADD CONSTRAINT full_disk CHECK (status <> 'opened')`)
    await expect(
      storeStatusEvents(db, [makeEvent({ status: 'sent' }), makeEvent({ status: 'opened' })]),
    ).rejects.toThrow('full_disk')
    await db.pool.query('ALTER TABLE status_counts DROP CONSTRAINT full_disk')
    expect([await countRows(), await countStoredEvents(db)]).toEqual([0, 0])
  })

  it('belong to the hour of receipt, whatever its spelling and the time that the producer gives', async () => {
    const event = (received_at: string) => at(makeEvent({ timestamp: '2020-01-01T00:00:00Z' }), received_at)
    await storeStatusEvents(db, [
      event('2026-01-31T10:59:59.999Z'),
      event('2026-01-31T10:00Z'),
      event('2026-01-31T16:15:00+05:30'),
      event('2026-01-31T23:00:00Z'),
      event('2026-02-01T00:00:00Z'),
    ])
    const query = {
      from: new Date('2026-01-31T10:30:00Z'),
      to: new Date('2026-02-02T00:00:00Z'),
      groupBy: [],
    }
    expect(await readStatusCounts(db, { ...query, granularity: 'hour' })).toEqual([
      { start: '2026-01-31T10:00:00Z', count: 3 },
      { start: '2026-01-31T23:00:00Z', count: 1 },
      { start: '2026-02-01T00:00:00Z', count: 1 },
    ])
    expect(await readStatusCounts(db, { ...query, granularity: 'day' })).toEqual([
      { start: '2026-01-31T00:00:00Z', count: 4 },
      { start: '2026-02-01T00:00:00Z', count: 1 },
    ])
    expect(await readStatusCounts(db, { ...query, to: new Date('2026-01-31T11:00:00Z') })).toEqual([
      { count: 3 },
    ])
    expect(await readStatusCounts(db, { ...query, from: new Date('2026-01-31T11:00:00Z') })).toEqual([
      { count: 2 },
    ])
  })

  it('are grouped by what is asked for; null: the events have no such value', async () => {
    const error = { class: 'permanent' as const, message: 'no mailbox' }
    await storeStatusEvents(db, [
      makeEvent({ status: 'bounced', error, provider: 'ses', category: 'receipt' }),
      makeEvent({ status: 'bounced', error: 'gone', provider: 'ses' }),
      makeEvent({ status: 'sent' }, 'push'),
    ])
    const query = { from: ago(DAY_MS), to: new Date(Date.now() + 1) }
    expect(await readStatusCounts(db, { ...query, groupBy: ['status', 'error_class', 'category'] })).toEqual([
      { status: 'bounced', error_class: 'permanent', category: 'receipt', count: 1 },
      { status: 'bounced', error_class: null, category: null, count: 1 },
      { status: 'sent', error_class: null, category: null, count: 1 },
    ])
    expect(await readStatusCounts(db, { ...query, groupBy: ['type', 'provider', 'source'] })).toEqual([
      { type: 'email', provider: 'ses', source: 'test', count: 2 },
      { type: 'push', provider: null, source: 'test', count: 1 },
    ])
    expect(
      await readStatusCounts(db, { ...query, groupBy: [], to: query.from, from: ago(2 * DAY_MS) }),
    ).toEqual([{ count: 0 }])
  })

  it('give rates of those sent, also where no one reports "sent"', async () => {
    const bounce = makeEvent({ status: 'bounced', error: 'gone' })
    const query = { from: ago(DAY_MS), to: new Date(Date.now() + 1) }
    const none = { sent: 0, bounced: 0, complained: 0, bounce_rate: null, complaint_rate: null }
    expect(await readDeliveryRates(db, query)).toEqual({ email: none, push: none })
    await storeStatusEvents(db, [
      bounce,
      ...Array.from({ length: 3 }, () => makeEvent({ status: 'delivered' })),
    ])
    expect(await readDeliveryRates(db, query)).toMatchObject({
      email: { sent: 4, bounce_rate: 0.25 },
      push: none,
    })
    await storeStatusEvents(db, [
      makeEvent({ status: 'complained' }),
      ...Array.from({ length: 8 }, () => makeEvent({ status: 'sent' })),
    ])
    expect(await readDeliveryRates(db, query)).toEqual({
      email: { sent: 8, bounced: 1, complained: 1, bounce_rate: 0.125, complaint_rate: 0.125 },
      push: none,
    })
  })

  it('leave out the events of a probe, and do not change when a row is deleted', async () => {
    await storeStatusEvents(db, [makeEvent(), { ...makeEvent(), source: PROBE_SOURCE }])
    expect(await countStoredEvents(db)).toBe(1)
    expect((await compareCounts(db)).differing).toEqual([])
    await db.pool.query('DELETE FROM notification_status')
    expect(await countStoredEvents(db)).toBe(1)
    expect((await compareCounts(db)).differing).toMatchObject([{ counted: 1, rows: 0 }])
  })

  it.each([
    { days: 32, granularity: 'hour', problem: 'Ask for at most 31 days at once by the hour.' },
    { days: 31, granularity: 'hour', problem: undefined },
    { days: 366, granularity: 'day', problem: undefined },
    { days: 367, granularity: 'day', problem: 'Ask for at most 366 days at once.' },
    { days: 367, granularity: undefined, problem: 'Ask for at most 366 days at once.' },
    { days: 0, granularity: 'day', problem: 'The end of the time must be after its beginning.' },
  ] as const)('cover a bounded time: $days days by $granularity', ({ days, granularity, problem }) => {
    const from = new Date('2026-01-01T00:00:00Z')
    const to = new Date(from.getTime() + days * DAY_MS)
    expect(findRangeProblem({ from, to, granularity, groupBy: [] })).toBe(problem)
  })

  it('of two years are read through the index, and never more than the limit', async () => {
    await db.pool.query(
      `INSERT INTO status_counts (hour, notification_type, status, source, provider, category, error_class, slot, count)
       SELECT hour, 'email', 'sent', 'source ' || n, 'ses', '', '', 0, 1
       FROM generate_series('2024-01-01Z'::timestamptz, '2026-01-01Z', '1 hour') AS hour, generate_series(1, 5) AS n`,
    )
    await db.pool.query('ANALYZE status_counts')
    const day = { from: new Date('2025-06-01T00:00:00Z'), to: new Date('2025-06-02T00:00:00Z') }
    for (const granularity of ['hour', 'day', undefined] as const) {
      const { text, values } = countsStatement({ ...day, granularity, groupBy: ['provider', 'status'] })
      const plan = await db.pool.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, values)
      expect(plan.rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('status_counts_pkey')
    }
    const year = { from: new Date('2025-01-01T00:00:00Z'), to: new Date('2025-12-31T00:00:00Z') }
    expect(await readStatusCounts(db, { ...year, granularity: 'hour', groupBy: ['source'] })).toBeUndefined()
    const days = await readStatusCounts(db, { ...year, granularity: 'day', groupBy: ['source'] })
    expect(days).toHaveLength(364 * 5)
    expect(days?.length).toBeLessThan(MAX_COUNTS)
  })

  it('are compared with the rows of the last days through their index by time', async () => {
    await db.pool.query(
      `INSERT INTO notification_status (id, "timestamp", received_at, notification_type, status, notification_id, source)
       SELECT gen_random_uuid(), t, t, 'email', 'sent', 'n', 'old'
       FROM generate_series(now() - interval '200 days', now() - interval '10 days', '3 minutes') AS t`,
    )
    await db.pool.query('VACUUM ANALYZE notification_status')
    const plan = await db.pool.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN SELECT count(*) FROM notification_status WHERE received_at >= now() - interval '48 hours'`,
    )
    const text = plan.rows.map((row) => row['QUERY PLAN']).join('\n')
    // A partition that is empty after VACUUM is read from end to end, at no cost.
    expect(text).toMatch(/Index Scan on notification_status_default_received_at_idx/)
    expect(await compareCounts(db)).toMatchObject({ counted: 0, differing: [] })
  })
})
