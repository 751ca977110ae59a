import { expect, it } from 'vitest'
import records from './fixtures/records.json' with { type: 'json' }
import { mapPostmark } from './map.ts'

const NOW = new Date('2026-03-01T13:00:00Z')
const map = (record: object) => mapPostmark(record, NOW)
const fixture = (place: number) => {
  const record = records[place]
  if (record === undefined) throw new Error(`There is no record ${place}`)
  return record
}

const common = {
  event_id: expect.stringMatching(/^[0-9a-f]{64}$/),
  provider: 'postmark',
  provider_message_id: '883953f4-6105-42a2-a16a-77a8eac79483',
  notification_id: 'notif-1',
  recipient: 'ann@example.com',
}
const reported = (report: object) => ({ outcome: 'report', type: 'email', report: { ...common, ...report } })

it('maps each documented record to exactly these fields', () => {
  expect(records.map(map)).toEqual([
    reported({
      status: 'delivered',
      timestamp: '2026-03-01T12:00:00.123Z',
      user_id: '7f0c2b3e-6a1d-4e5f-9a8b-0c1d2e3f4a5b',
      attempt: 2,
      category: 'newsletter',
    }),
    reported({
      status: 'bounced',
      timestamp: '2026-03-01T12:00:01.907Z',
      error: {
        code: '5.1.1',
        class: 'permanent',
        message: 'smtp;550 5.1.1 The email account that you tried to reach does not exist.',
      },
      metadata: { bounce_type: 'HardBounce' },
    }),
    reported({
      status: 'bounced',
      timestamp: '2026-03-01T12:00:02.000Z',
      error: {
        code: 'SoftBounce',
        class: 'transient',
        message:
          'Unable to temporarily deliver message (i.e. mailbox full, account disabled, exceeds quota).',
      },
      metadata: { bounce_type: 'SoftBounce' },
    }),
    reported({ status: 'complained', timestamp: '2026-03-01T12:00:03.000Z', notification_id: undefined }),
    reported({ status: 'opened', timestamp: '2026-03-01T12:00:04.000Z' }),
    { outcome: 'ignored', eventType: 'machine_open' },
    reported({ status: 'clicked', timestamp: '2026-03-01T12:00:06.000Z' }),
    reported({ status: 'unsubscribed', timestamp: '2026-03-01T12:00:07.416Z', category: 'newsletter' }),
    { outcome: 'ignored', eventType: 'SubscriptionChange' },
    { outcome: 'ignored', eventType: 'SubscriptionChange' },
    { outcome: 'ignored', eventType: 'SubscriptionChange' },
  ])
})

it.each([
  ['HardBounce', 'bounced', 'permanent'],
  ['BadEmailAddress', 'bounced', 'permanent'],
  ['Transient', 'bounced', 'transient'],
  ['DnsError', 'bounced', 'transient'],
  ['SpamNotification', 'bounced', 'transient'],
  ['Blocked', 'bounced', 'transient'],
  ['ChallengeVerification', 'deferred', 'transient'],
  ['DMARCPolicy', 'failed', 'config'],
  ['TemplateRenderingFailed', 'failed', 'config'],
  ['SMTPApiError', 'failed', 'config'],
  ['ManuallyDeactivated', 'suppressed', 'permanent'],
])('maps the bounce type %s to %s, %s', (Type, status, errorClass) => {
  expect(map({ ...fixture(1), Type })).toMatchObject({
    report: { status, error: { class: errorClass }, metadata: { bounce_type: Type } },
  })
})

it('maps what a recipient asked for by answering', () => {
  expect(map({ ...fixture(1), Type: 'SpamComplaint' })).toMatchObject({ report: { status: 'complained' } })
  expect(map({ ...fixture(1), Type: 'Unsubscribe' })).toMatchObject({ report: { status: 'unsubscribed' } })
})

it.each(['AutoResponder', 'AddressChange', 'Teleported', 'constructor', '__proto__'])(
  'counts the bounce type %s as ignored',
  (Type) => {
    expect(map({ ...fixture(1), Type })).toEqual({ outcome: 'ignored', eventType: `Bounce ${Type}` })
  },
)

it('counts a record type that it does not know as ignored', () => {
  expect(map({ ...fixture(0), RecordType: 'Inbound' })).toEqual({ outcome: 'ignored', eventType: 'Inbound' })
})

it.each([null, [], 'Delivery', 7, {}, { RecordType: '' }])('counts %j as invalid', (record) => {
  expect(mapPostmark(record, NOW)).toMatchObject({ outcome: 'invalid', raw: record })
})

it('keeps nothing personal but the recipient', () => {
  for (const record of records) {
    const { recipient: _, ...kept } = Object(map(record)).report ?? {}
    expect(JSON.stringify(kept)).not.toMatch(/ann@|198\.51|token|secret|Mozilla/)
  }
})

it('gives each record its own id, and a repeated one the same', () => {
  const ids = (list: object[]) => list.map((record) => Object(map(record)).report?.event_id)
  const own = ids(records).filter((id) => id !== undefined)
  expect(new Set(own).size).toBe(own.length)
  expect(ids(records)).toEqual(ids(structuredClone(records)))
  const [click, otherClick] = ids([fixture(6), { ...fixture(6), OriginalLink: 'https://www.example.com/' }])
  expect(click).not.toBe(otherClick)
})
