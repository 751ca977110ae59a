import { randomUUID } from 'node:crypto'
import { identifyEvent } from '@tidings/shared/event-identity'
import type { StatusEvent } from '@tidings/shared/status-event'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { MIN_DEDUPLICATION_DAYS } from './deduplication-window.ts'
import { removeExpiredKeys } from './event-keys.ts'
import { createPartitions, startOfMonth } from './partitions.ts'
import { storeStatusEvents } from './status-events.ts'
import { findStoredContent } from './stored-content.ts'

const DAY_MS = 86_400_000
const WINDOW_MS = MIN_DEDUPLICATION_DAYS * DAY_MS
/** Years ahead: the code takes no event for older than its key, so that the keys alone decide. */
const FIRST_MONTH = new Date('2031-01-01Z')
const MONTHS = 24
const monthEnd = (month: number) => startOfMonth(FIRST_MONTH, month + 1).getTime()

/** One step: the clock goes on, then an event is sent by one or two writers, or old keys are removed. */
const stepArbitrary = fc.record({
  waitMs: fc.constantFrom(
    0,
    1,
    1_000,
    DAY_MS,
    9 * DAY_MS,
    31 * DAY_MS,
    WINDOW_MS - 1,
    WINDOW_MS,
    WINDOW_MS + 1,
  ),
  action: fc.oneof(
    fc.record({
      event: fc.constantFrom('a', 'b', 'c'),
      status: fc.constantFrom('sent' as const, 'delivered' as const),
      writers: fc.constantFrom(1, 2),
    }),
    fc.constant('remove keys' as const),
  ),
})

describe('an event that is sent again', () => {
  const releaser = useReleaser()
  let db: Database
  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
    const client = await db.pool.connect()
    await createPartitions(
      client,
      Array.from({ length: MONTHS }, (_, month) => startOfMonth(FIRST_MONTH, month)),
    ).finally(() => client.release())
  })

  const makeEvent = (key: string, status: 'sent' | 'delivered', atMs: number): StatusEvent =>
    identifyEvent(
      { notification_id: key, status, event_id: key },
      { type: 'email', source: 'test', receivedAt: new Date(atMs) },
    )
  const readRows = async (id: string) =>
    (
      await db.pool.query<{ received_at: Date }>(
        'SELECT received_at FROM notification_status WHERE id = $1 ORDER BY received_at',
        [id],
      )
    ).rows.map(({ received_at }) => received_at.getTime())

  it('is one row within the window, wherever the month ends', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 11 }),
        fc.constantFrom(-WINDOW_MS, -DAY_MS, -1, 0, 1),
        fc.array(stepArbitrary, { minLength: 1, maxLength: 12 }),
        async (month, offsetMs, steps) => {
          const run = randomUUID()
          /** The model: the keys that are kept, and all rows. */
          const keys = new Map<string, { atMs: number; hash: string | undefined }>()
          const rows = new Map<string, number[]>()
          let nowMs = monthEnd(month) + offsetMs
          for (const { waitMs, action } of steps) {
            nowMs += waitMs
            if (action === 'remove keys') {
              await removeExpiredKeys(db, new Date(nowMs - WINDOW_MS))
              for (const [id, { atMs }] of keys) if (atMs < nowMs - WINDOW_MS) keys.delete(id)
              continue
            }
            const event = makeEvent(`${run}-${action.event}`, action.status, nowMs)
            const outcomes = (
              await Promise.all(Array.from({ length: action.writers }, () => storeStatusEvents(db, [event])))
            ).flat()
            const key = keys.get(event.id)
            const repeated = key === undefined || key.hash === event.content_hash ? 'duplicate' : 'conflict'
            const expected = Array(action.writers).fill(repeated)
            if (key === undefined) {
              expected[expected.length - 1] = 'stored'
              keys.set(event.id, { atMs: nowMs, hash: event.content_hash })
              rows.set(event.id, [...(rows.get(event.id) ?? []), nowMs])
            }
            expect(outcomes.toSorted()).toEqual(expected)
          }
          for (const [id, times] of rows) {
            expect(await readRows(id)).toEqual(times)
            // What the promise says, without the model: two rows of one event are further apart than the window.
            for (const [index, time] of times.slice(1).entries())
              expect(time - (times[index] ?? 0)).toBeGreaterThan(WINDOW_MS)
          }
        },
      ),
      { numRuns: 100 },
    )
  })

  it('at once by two writers, in batches that share events and in two months, is one row', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 11 }),
        fc.uniqueArray(fc.nat(9), { minLength: 1 }),
        fc.uniqueArray(fc.nat(9), { minLength: 1 }),
        async (month, one, other) => {
          const run = randomUUID()
          const batch = (places: number[], atMs: number) =>
            places.map((place) => makeEvent(`${run}-${place}`, 'sent', atMs))
          const first = batch(one, monthEnd(month) - 1)
          const second = batch(other, monthEnd(month))
          const outcomes = await Promise.all([storeStatusEvents(db, first), storeStatusEvents(db, second)])
          const ids = new Set([...first, ...second].map(({ id }) => id))
          expect(outcomes.flat().filter((outcome) => outcome === 'stored')).toHaveLength(ids.size)
          for (const id of ids) expect(await readRows(id)).toHaveLength(1)
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('an event that was received longer ago than keys are kept', () => {
  const releaser = useReleaser()
  let db: Database
  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
  })

  const old = (fields: Partial<StatusEvent> = {}): StatusEvent => ({
    ...identifyEvent(
      { notification_id: 'n', status: 'sent', event_id: randomUUID() },
      { type: 'email', source: 'test', receivedAt: new Date(Date.now() - WINDOW_MS - DAY_MS) },
    ),
    ...fields,
  })

  it('is a repeat when its notification has its row: a redriven dead letter is not stored twice', async () => {
    const event = old()
    const conflict = { ...event, content_hash: '00'.repeat(16) }
    expect(await storeStatusEvents(db, [event])).toEqual(['stored'])
    expect(await removeExpiredKeys(db, new Date(Date.now() - WINDOW_MS))).toBe(1)
    expect(await storeStatusEvents(db, [event, conflict, old()])).toEqual(['duplicate', 'conflict', 'stored'])
    // The same by its row only: an import of dead letters and the reconciler leave it out.
    const found = await findStoredContent(db, [
      event,
      { id: event.id },
      { ...event, notification_id: 'a\0b' },
    ])
    expect([...found]).toEqual([[event.id, event.content_hash]])
    expect(await findStoredContent(db, [{ id: event.id }])).toEqual(new Map())
  })

  it('is stored when it never was', async () => {
    expect(await storeStatusEvents(db, [old()])).toEqual(['stored'])
  })

  it('sent again by its producer is a new row: docs/keeping-and-deleting-data.md', async () => {
    const event = old()
    await storeStatusEvents(db, [event])
    await removeExpiredKeys(db, new Date(Date.now() - WINDOW_MS))
    expect(await storeStatusEvents(db, [{ ...event, received_at: new Date().toISOString() }])).toEqual([
      'stored',
    ])
  })
})
