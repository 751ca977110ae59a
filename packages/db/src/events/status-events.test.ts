import { randomUUID } from 'node:crypto'
import { identifyEvent } from '@tidings/shared/event-identity'
import { type StatusEvent, statusReportSchema } from '@tidings/shared/status-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { type StoreOutcome, storeStatusEvents } from './status-events.ts'

const KNOWN_USER = randomUUID()

function makeEvent(more: Record<string, unknown>): StatusEvent {
  const report = statusReportSchema.parse({ notification_id: 'n', status: 'delivered', ...more })
  return identifyEvent(report, { type: 'email', source: 'test', receivedAt: new Date() })
}

describe('storing a batch', () => {
  const releaser = useReleaser()
  let db: Database
  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
    await db.pool.query(
      `INSERT INTO users (id, email, name, password) VALUES ($1, 'a@example.com', 'A', '!')`,
      [KNOWN_USER],
    )
  })

  const statusOf = async ({ id }: StatusEvent) => {
    const { rows } = await db.pool.query('SELECT status FROM notification_status WHERE id = $1', [id])
    return rows.map((row) => row.status)
  }

  it('stores the first of two contents under one key, and returns conflict for the second', async () => {
    const event_id = randomUUID()
    const first = makeEvent({ event_id })
    const second = makeEvent({ event_id, status: 'sent' })
    const outcomes = await storeStatusEvents(db, [first, second, makeEvent({}), first])
    expect(outcomes).toEqual(['stored', 'conflict', 'stored', 'duplicate'])
    expect(await statusOf(first)).toEqual(['delivered'])
  })

  it('stores the second content when the first names an unknown user', async () => {
    const event_id = randomUUID()
    const first = makeEvent({ event_id, user_id: randomUUID() })
    const second = makeEvent({ event_id, user_id: KNOWN_USER, status: 'sent' })
    const outcomes = await storeStatusEvents(db, [first, makeEvent({}), second])
    expect(outcomes).toEqual(['unknown_user', 'stored', 'stored'])
    expect(await statusOf(second)).toEqual(['sent'])
  })

  it('refuses an event that names another user than an earlier one of its notification', async () => {
    const other = randomUUID()
    await db.pool.query(
      `INSERT INTO users (id, email, name, password) VALUES ($1, 'b@example.com', 'B', '!')`,
      [other],
    )
    const notification_id = randomUUID()
    const first = makeEvent({ notification_id, user_id: KNOWN_USER })
    const second = makeEvent({ notification_id, user_id: other })
    // In one batch, and later.
    expect(await storeStatusEvents(db, [first, second, makeEvent({ notification_id })])).toEqual([
      'stored',
      'other_user',
      'stored',
    ])
    expect(await storeStatusEvents(db, [second, first])).toEqual(['other_user', 'duplicate'])
    expect(await storeStatusEvents(db, [makeEvent({ notification_id, user_id: KNOWN_USER })])).toEqual([
      'stored',
    ])
    const push = { ...makeEvent({ notification_id, user_id: other }), notification_type: 'push' as const }
    expect(await storeStatusEvents(db, [push])).toEqual(['stored'])
    expect(await storeStatusEvents(db, [makeEvent({ notification_id, user_id: randomUUID() })])).toEqual([
      'unknown_user',
    ])
  })

  it('stores the second user of a batch when the first is unknown', async () => {
    const notification_id = randomUUID()
    const batch = [randomUUID(), KNOWN_USER].map((user_id) => makeEvent({ notification_id, user_id }))
    expect(await storeStatusEvents(db, batch)).toEqual(['unknown_user', 'stored'])
  })

  it('stores two batches with the same events at once without a deadlock', async () => {
    const byId = Array.from({ length: 3 }, () => makeEvent({ event_id: randomUUID() })).toSorted(
      (one, other) => (one.id < other.id ? -1 : 1),
    )
    // Blocks both batches in the middle: each has written one event and waits for the other's.
    const client = await db.pool.connect()
    await client.query('BEGIN')
    await client.query('INSERT INTO event_keys (id, received_at) VALUES ($1, now())', [byId[1]?.id])
    const both = Promise.all([storeStatusEvents(db, byId), storeStatusEvents(db, byId.toReversed())])
    await waitFor('both to wait', async () => {
      const { rows } = await db.pool.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
      return rows.length === 2
    })
    // Closing the connection rolls its transaction back.
    client.release(true)
    const outcomes = (await both).flat().toSorted()
    expect(outcomes).toEqual([...Array(3).fill('duplicate'), ...Array(3).fill('stored')])
  })

  it('returns the outcome of each event, whatever is in the batch', async () => {
    const report = fc.record({
      event_id: fc.constantFrom('a', 'b', 'c'),
      status: fc.constantFrom('delivered', 'sent'),
      user_id: fc.constantFrom(KNOWN_USER, '018f2f6a-0000-7000-8000-000000000000'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(report, { minLength: 1, maxLength: 8 }), async (reports) => {
        const run = randomUUID()
        const events = reports.map(({ event_id, ...one }) =>
          // A notification has one user.
          makeEvent({ ...one, event_id: `${run}-${event_id}`, notification_id: `${run}-${one.user_id}` }),
        )
        const outcomes = await storeStatusEvents(db, events)
        expect(outcomes).toEqual(expectedOutcomes(events))
        const { rows } = await db.pool.query('SELECT id FROM notification_status WHERE event_id LIKE $1', [
          `${run}-%`,
        ])
        expect(rows).toHaveLength(outcomes.filter((outcome) => outcome === 'stored').length)
      }),
      { numRuns: 60 },
    )
  })
})

/** The first event of an id is inserted; if its user is unknown, the first one with a known user. */
function expectedOutcomes(events: readonly StatusEvent[]): StoreOutcome[] {
  const rows = new Map<string, StatusEvent>()
  const first = new Map<string, StatusEvent>()
  for (const event of events) {
    if (!first.has(event.id)) first.set(event.id, event)
    if (event.user_id === KNOWN_USER && !rows.has(event.id)) rows.set(event.id, event)
  }
  return events.map((event) => {
    const row = rows.get(event.id)
    if (row === event) return 'stored'
    const isSecondInsert = row !== first.get(event.id)
    if (row === undefined || (isSecondInsert && event.user_id !== KNOWN_USER)) return 'unknown_user'
    return row.content_hash === event.content_hash ? 'duplicate' : 'conflict'
  })
}
