import { randomUUID } from 'node:crypto'
import { foldNotification } from '@tidings/shared/notification-status'
import { STATUSES, type StatusEvent } from '@tidings/shared/status-event'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { listDecidingEvents, MAX_TIMELINE, readNotification } from './notifications.ts'
import { storeStatusEvents } from './status-events.ts'

const [ADA, GRACE, MARY] = [randomUUID(), randomUUID(), randomUUID()]
const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString()

function makeEvent(more: Partial<StatusEvent>): StatusEvent {
  return {
    id: randomUUID(),
    notification_id: 'n',
    notification_type: 'email',
    status: 'sent',
    source: 'test',
    timestamp: at(0),
    received_at: at(0),
    ...more,
  }
}

const eventArbitrary = fc.record({
  id: fc.uuid(),
  status: fc.constantFrom(...STATUSES),
  user_id: fc.constantFrom(undefined, ADA, GRACE, MARY),
  error: fc.constantFrom(
    'mailbox full',
    { class: 'transient' as const, message: 'later' },
    { class: 'permanent' as const, message: 'no such mailbox' },
  ),
  timestamp: fc.integer({ min: 0, max: 9 }).map(at),
  received_at: fc.integer({ min: 2, max: 6 }).map(at),
  attempt: fc.constantFrom(undefined, 0, 1, 2),
})

describe('the events of a notification', () => {
  const releaser = useReleaser()
  let db: Database

  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
    await db.pool.query(
      `INSERT INTO users (id, email, name, password) SELECT id, id || '@example.com', 'A', '!' FROM unnest($1::uuid[]) id`,
      [[ADA, GRACE, MARY]],
    )
  })

  const store = (events: StatusEvent[]) => storeStatusEvents(db, events)

  it('fold to the same status by the deciding events as by all events', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(eventArbitrary, { selector: ({ id }) => id, minLength: 1, maxLength: 30 }),
        async (given) => {
          await db.pool.query('TRUNCATE notification_status')
          await store(given.map(makeEvent))
          const { timeline } = await readNotification(db, 'n')
          expect(timeline).toHaveLength(given.length)
          const deciding = await listDecidingEvents(db, 'n')
          expect(foldNotification(deciding)).toEqual(foldNotification(timeline))

          const owners = (events: typeof timeline) => events.flatMap(({ user_id }) => user_id ?? [])
          expect(owners(deciding).at(-1)).toBe(owners(timeline).at(-1))
          expect(new Set(owners(deciding)).size > 1).toBe(new Set(owners(timeline)).size > 1)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('are decided by a few events, however many there are', async () => {
    const repeats = Array.from({ length: MAX_TIMELINE + 10 }, (_, n) =>
      makeEvent({
        notification_id: 'many',
        status: 'opened',
        timestamp: at(n),
        received_at: at(n),
        user_id: ADA,
      }),
    )
    for (let n = 0; n < repeats.length; n += 500) await store(repeats.slice(n, n + 500))
    const complaint = makeEvent({
      notification_id: 'many',
      status: 'complained',
      timestamp: at(5_000),
      received_at: at(5_000),
      user_id: GRACE,
    })
    await store([complaint])
    const { timeline, deciding } = await readNotification(db, 'many')
    expect(timeline).toHaveLength(MAX_TIMELINE)
    expect(deciding.length).toBeLessThan(10)
    expect(foldNotification(deciding)).toMatchObject({ status: 'complained', opened_at: at(0) })
    expect(new Set(deciding.map(({ user_id }) => user_id))).toEqual(new Set([ADA, GRACE]))
  })
})
