import { randomUUID } from 'node:crypto'
import { summarizeNotification } from '@tidings/shared/notification-summary'
import { STATUSES, type StatusEvent } from '@tidings/shared/status-event'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { listDecidingEvents, MAX_TIMELINE, readNotifications } from './notifications.ts'
import { storeStatusEvents } from './status-events.ts'

const ADA = randomUUID()
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
  user_id: fc.constantFrom(undefined, ADA),
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
      `INSERT INTO users (id, email, name, password) VALUES ($1, 'ada@example.com', 'A', '!')`,
      [ADA],
    )
  })

  const store = (events: StatusEvent[]) => storeStatusEvents(db, events)

  it('fold to the same status by the deciding events as by all events', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(eventArbitrary, { selector: ({ id }) => id, minLength: 1, maxLength: 30 }),
        async (given) => {
          await db.pool.query('TRUNCATE notification_status, event_keys')
          await store(given.map(makeEvent))
          const [{ timeline } = { timeline: [] }] = await readNotifications(db, 'n')
          expect(timeline).toHaveLength(given.length)
          const deciding = await listDecidingEvents(db, 'n', 'email')
          expect(summarizeNotification({ timeline, deciding })).toEqual(
            summarizeNotification({ timeline, deciding: timeline }),
          )
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
    })
    await store([complaint, makeEvent({ notification_id: 'many', notification_type: 'push' })])
    const [email, push] = await readNotifications(db, 'many')
    expect(email?.timeline).toHaveLength(MAX_TIMELINE)
    expect(email?.deciding.length).toBeLessThan(10)
    expect(email && summarizeNotification(email)).toMatchObject({
      status: 'complained',
      opened_at: at(0),
      user_id: ADA,
    })
    expect(push && summarizeNotification(push)).toMatchObject({ status: 'sent', user_id: null })
    expect(await readNotifications(db, 'many', ['push'])).toEqual([push])
  })
})
