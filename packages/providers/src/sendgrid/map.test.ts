import { expect, it } from 'vitest'
import events from './fixtures/events.json' with { type: 'json' }
import { mapSendgrid } from './map.ts'

const NOW = new Date('2026-03-01T13:00:00Z')

/** The report of the fixture's first event of that kind. */
const map = (event: object) => mapSendgrid(event, NOW)
const fixture = (place: number) => {
  const event = events[place]
  if (event === undefined) throw new Error(`There is no event ${place}`)
  return event
}

const ann = {
  event_id: expect.any(String),
  provider: 'sendgrid',
  provider_message_id: '14c5d75ce93',
  notification_id: 'notif-1',
  recipient: 'ann@example.com',
}
const bob = { ...ann, notification_id: 'notif-2', recipient: 'bob@example.com' }
const at = (second: number) => `2026-03-01T12:00:${String(second).padStart(2, '0')}.000Z`
const reported = (report: object) => ({ outcome: 'report', type: 'email', report })

it('maps each documented event to exactly these fields', () => {
  expect(events.map(map)).toEqual([
    reported({
      ...ann,
      event_id: 'cHJvY2Vzc2VkLTEyMzQ1Ng',
      status: 'sent',
      timestamp: at(0),
      user_id: '7f0c2b3e-6a1d-4e5f-9a8b-0c1d2e3f4a5b',
      attempt: 2,
      category: 'newsletter',
    }),
    reported({
      ...ann,
      status: 'deferred',
      timestamp: at(1),
      error: { code: '4.7.1', class: 'transient', message: '450 4.7.1 Try again later' },
    }),
    reported({ ...ann, status: 'delivered', timestamp: at(2), notification_id: undefined }),
    reported({
      ...bob,
      status: 'bounced',
      timestamp: at(3),
      error: { code: '5.0.0', class: 'permanent', message: '500 unknown recipient' },
      metadata: { bounce_classification: 'Invalid Address' },
    }),
    reported({
      ...bob,
      status: 'bounced',
      timestamp: at(4),
      error: { code: '5.7.1', class: 'transient', message: '550 5.7.1 Blocked by policy' },
      metadata: { bounce_classification: 'Reputation' },
    }),
    reported({
      ...bob,
      status: 'suppressed',
      timestamp: at(5),
      error: { code: '5.0.0', class: 'permanent', message: 'Bounced Address' },
    }),
    reported({
      ...bob,
      status: 'failed',
      timestamp: at(6),
      error: { class: 'config', message: 'Invalid SMTPAPI header' },
    }),
    reported({ ...ann, status: 'opened', timestamp: at(7) }),
    { outcome: 'ignored', eventType: 'machine_open' },
    reported({ ...ann, status: 'clicked', timestamp: at(9) }),
    reported({ ...ann, status: 'complained', timestamp: at(10) }),
    reported({ ...ann, status: 'unsubscribed', timestamp: at(11) }),
    reported({
      ...ann,
      status: 'unsubscribed',
      timestamp: at(12),
      category: 'newsletter',
      metadata: { asm_group_id: 10 },
    }),
    { outcome: 'ignored', eventType: 'group_resubscribe' },
    { outcome: 'ignored', eventType: 'account_status_change' },
  ])
})

it("never takes SendGrid's retry count for the sender's attempt", () => {
  expect(map(fixture(1))).not.toHaveProperty('report.attempt', expect.anything())
})

it('keeps nothing personal but the recipient', () => {
  const { recipient: _, ...kept } = Object(map(fixture(9))).report
  expect(JSON.stringify(kept)).not.toMatch(/ann@|198\.51|token|Mozilla/)
})

it('drops what the sender put into the message and no report may have', () => {
  const event = { ...fixture(0), user_id: 'ann', notification_attempt: 'first', category: 'Cat Facts' }
  expect(map(event)).toEqual(
    reported({ ...ann, event_id: 'cHJvY2Vzc2VkLTEyMzQ1Ng', status: 'sent', timestamp: at(0) }),
  )
  expect(map({ ...event, notification_id: 'x'.repeat(256) })).toMatchObject({
    report: { notification_id: undefined, provider_message_id: '14c5d75ce93' },
  })
})

it('counts an event that names neither a notification nor a message as invalid', () => {
  const { sg_message_id: _, ...event } = fixture(2)
  const problem = 'It names neither a notification nor a message.'
  expect(map(event)).toEqual({ outcome: 'invalid', problem, raw: event })
})

it.each([null, [], 'delivered', 7, {}, { event: '' }, { event: 7 }])('counts %j as invalid', (event) => {
  expect(mapSendgrid(event, NOW)).toMatchObject({ outcome: 'invalid', raw: event })
})

it('counts a type that it does not know as ignored', () => {
  expect(map({ ...fixture(0), event: 'teleported' })).toEqual({ outcome: 'ignored', eventType: 'teleported' })
})

it('gives an event without an id the same one each time, and another than its neighbours', () => {
  const ids = events.slice(0, 5).map(({ sg_event_id: _, ...event }) => Object(map(event)).report.event_id)
  expect(new Set(ids).size).toBe(5)
  expect(ids[0]).toBe(Object(map({ ...fixture(0), sg_event_id: undefined })).report.event_id)
})

it('leaves out a time that is more than a day ahead', () => {
  const event = { ...fixture(2), timestamp: NOW.getTime() / 1000 + 25 * 3600 }
  expect(map(event)).toMatchObject({ report: { timestamp: undefined } })
})

it('leaves out a group that is no whole number that every program can read', () => {
  expect(map({ ...fixture(12), asm_group_id: -(2 ** 53) })).toMatchObject({ report: { metadata: undefined } })
})
