import { describe, expect, test } from 'vitest'
import { type NotificationEvent, summarizeNotification } from './notification-summary.ts'

const ADA = '00000000-0000-4000-8000-000000000001'
const BOB = '00000000-0000-4000-8000-000000000002'

function makeEvent(minute: number, fields: Partial<NotificationEvent> = {}): NotificationEvent {
  const time = new Date(Date.UTC(2026, 0, 1, 12, minute)).toISOString()
  return {
    id: `00000000-0000-4000-8000-0000000001${String(minute).padStart(2, '0')}`,
    notification_id: 'order-7',
    notification_type: 'email',
    user_id: null,
    status: 'sent',
    error: null,
    timestamp: time,
    received_at: time,
    attempt: null,
    ...fields,
  }
}

describe('summarizeNotification', () => {
  test('is undefined for a notification without events', () => {
    expect(summarizeNotification({ timeline: [], deciding: [] })).toBeUndefined()
  })

  test('gives the user of the first received event that names one, and the folded status', () => {
    const timeline = [
      makeEvent(0, { user_id: BOB, received_at: '2026-01-02T12:00:00.000Z' }),
      makeEvent(1, { user_id: ADA, status: 'delivered' }),
      makeEvent(2, { status: 'opened' }),
    ]
    expect(summarizeNotification({ timeline, deciding: timeline })).toMatchObject({
      notification_id: 'order-7',
      notification_type: 'email',
      user_id: ADA,
      status: 'delivered',
      opened_at: '2026-01-01T12:02:00.000Z',
    })
  })

  test('takes status and user from the deciding events, also those beyond a timeline that is cut off', () => {
    const first = makeEvent(0)
    const last = makeEvent(59, { user_id: ADA, status: 'delivered' })
    expect(summarizeNotification({ timeline: [first], deciding: [first, last] })).toMatchObject({
      user_id: ADA,
      status: 'delivered',
    })
  })
})
