import { identifyEvent } from '@tidings/shared/event-identity'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import type { NotificationType, StatusEvent } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { listSuppressions } from '../suppressions/suppressions.ts'
import { createPartitions, listPartitions, startOfMonth } from './partitions.ts'
import { applyRetention, planRetention, type RetentionRule } from './retention.ts'
import { storeStatusEvents } from './status-events.ts'

describe('retention', () => {
  const releaser = useReleaser()
  let db: Database
  const months = Array.from({ length: 6 }, (_, index) => startOfMonth(new Date('2026-06-15Z'), -index))
  const createAll = async () => {
    const client = await db.pool.connect()
    await createPartitions(client, months).finally(() => client.release())
  }
  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
  })
  beforeEach(async () => {
    await createAll()
    await db.pool.query('TRUNCATE notification_status, event_keys, status_counts, suppressions')
  })

  const receivedAt = (time: string, type: NotificationType = 'email', source = 'test'): StatusEvent => ({
    ...makeEvent({}, type),
    source,
    received_at: new Date(time).toISOString(),
  })
  const apply = async (rule: RetentionRule) => applyRetention(db, rule, await planRetention(db, rule))
  const listTimes = async () =>
    (await db.pool.query('SELECT received_at FROM notification_status ORDER BY 1')).rows.map(
      ({ received_at }) => received_at.toISOString().slice(0, 10),
    )

  it('drops the months that are over and deletes the older rows of the others', async () => {
    await storeStatusEvents(
      db,
      ['1999-01-01', '2026-03-31', '2026-04-01', '2026-05-09', '2026-05-10', '2026-06-01'].map((day) =>
        receivedAt(day),
      ),
    )
    const rule = { before: new Date('2026-05-10Z') }
    const results = await apply(rule)
    expect(
      results.map(({ partition, action, rows, outcome }) => ({ partition, action, rows, outcome })),
    ).toEqual([
      { partition: 'notification_status_2026_01', action: 'drop', rows: 0, outcome: 'done' },
      { partition: 'notification_status_2026_02', action: 'drop', rows: 0, outcome: 'done' },
      { partition: 'notification_status_2026_03', action: 'drop', rows: 1, outcome: 'done' },
      { partition: 'notification_status_2026_04', action: 'drop', rows: 1, outcome: 'done' },
      { partition: 'notification_status_2026_05', action: 'delete', rows: 1, outcome: 'done' },
      { partition: 'notification_status_default', action: 'delete', rows: 1, outcome: 'done' },
    ])
    expect(await listTimes()).toEqual(['2026-05-10', '2026-06-01'])
    expect((await listPartitions(db.pool)).map(({ name }) => name)).not.toContain(
      'notification_status_2026_04',
    )
    expect(await planRetention(db, rule)).toEqual([])
  })

  it('leaves an event that is sent again a repeat: its key stays', async () => {
    const event = makeEvent()
    await storeStatusEvents(db, [event])
    await apply({ before: new Date(Date.now() + 1_000) })
    expect(await listTimes()).toEqual([])
    expect(await storeStatusEvents(db, [event])).toEqual(['duplicate'])
  })

  it('leaves the statistics and the suppressions', async () => {
    const bounce = identifyEvent(
      { notification_id: 'n', status: 'bounced', error: 'no mailbox', recipient: 'ann@example.com' },
      {
        type: 'email',
        source: 'hook',
        receivedAt: new Date('2026-03-10Z'),
        recipientKey: DEFAULT_RECIPIENT_KEY,
        feedback: true,
      },
    )
    await storeStatusEvents(db, [bounce, receivedAt('2026-05-09')])
    const read = async () => {
      const counts = await db.pool.query('SELECT hour, status, count FROM status_counts ORDER BY hour')
      return { counts: counts.rows, suppressions: await listSuppressions(db, {}, { limit: 10 }) }
    }
    const before = await read()
    expect(before).toMatchObject({
      counts: [{}, {}],
      suppressions: [{ reason: 'bounce', event_id: bounce.id }],
    })
    await apply({ before: new Date('2026-06-01Z') })
    expect(await listTimes()).toEqual([])
    expect(await read()).toEqual(before)
  })

  it('removes exactly the rows that the rule names', async () => {
    const event = fc.record({
      time: fc.constantFrom(
        '2026-02-28T23:59:59.999Z',
        '2026-03-01T00:00:00Z',
        '2026-05-20T12:00:00Z',
        '1999-01-01Z',
      ),
      type: fc.constantFrom('email' as const, 'push' as const),
      source: fc.constantFrom('one', 'other'),
    })
    const ruleArbitrary = fc.record({
      before: fc.constantFrom('2026-03-01T00:00:00Z', '2026-05-20T12:00:00Z', '2026-05-20T12:00:00.001Z'),
      type: fc.constantFrom(undefined, 'email' as const),
      source: fc.constantFrom(undefined, 'one'),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 12 }),
        ruleArbitrary,
        async (given, { before, type, source }) => {
          await createAll()
          await db.pool.query('DELETE FROM notification_status; DELETE FROM event_keys')
          const events = given.map((each) => receivedAt(each.time, each.type, each.source))
          if (events.length > 0) await storeStatusEvents(db, events)
          const goes = (each: StatusEvent) =>
            new Date(each.received_at) < new Date(before) &&
            (type ?? each.notification_type) === each.notification_type &&
            (source ?? each.source) === each.source
          const results = await apply({ before: new Date(before), type, source })
          expect(results.reduce((sum, { rows }) => sum + rows, 0)).toBe(events.filter(goes).length)
          const { rows } = await db.pool.query('SELECT id FROM notification_status')
          const left = events.filter((each) => !goes(each)).map(({ id }) => id)
          expect(rows.map(({ id }) => id).toSorted()).toEqual(left.toSorted())
        },
      ),
      { numRuns: 40 },
    )
  })

  it('waits for a reader without making writers wait, and drops a month', async () => {
    const day = '2026-01-15'
    await db.pool.query(
      `INSERT INTO notification_status (id, "timestamp", received_at, notification_type, status, notification_id, source)
       SELECT gen_random_uuid(), $1, $1, 'email', 'sent', 'n-' || n, 'test' FROM generate_series(1, 20000) n`,
      [day],
    )
    const reader = await db.pool.connect()
    await reader.query('BEGIN; SELECT count(*) FROM notification_status')
    const applying = apply({ before: new Date('2026-02-01Z') })
    await waitFor('the drop to wait', async () => {
      const { rows } = await db.pool.query(
        `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'BEGIN; SET LOCAL lock_timeout%' AND wait_event_type = 'Lock'
           AND datname = current_database()`,
      )
      return rows.length > 0
    })
    // A writer that came now would wait for the drop, which waits for the reader: for 200 ms at most.
    expect(await storeStatusEvents(db, [makeEvent()])).toEqual(['stored'])
    await reader.query('COMMIT')
    reader.release()
    const [result] = await applying
    expect(result).toMatchObject({ action: 'drop', rows: 20_000, outcome: 'done' })
    await createAll()
    const [again] = await apply({ before: new Date('2026-02-01Z') })
    expect(again).toMatchObject({ action: 'drop', outcome: 'done' })
  })
})
