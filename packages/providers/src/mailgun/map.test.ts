import { expect, test } from 'vitest'
import { reportOf } from '../testing/report-of.ts'
import samples from './fixtures/events.json' with { type: 'json' }
import { mapMailgun } from './map.ts'

const NOW = new Date('2026-03-01T00:00:00.000Z')
const MESSAGE = '20260203192638.1f0be97f99f8cea1@mail.example.com'

const map = (name: keyof typeof samples) => mapMailgun(samples[name], NOW)
const reportOfSample = (name: keyof typeof samples) => reportOf(map(name))

test('maps a bounce to exactly these fields', () => {
  expect(map('hardBounce')).toEqual({
    outcome: 'report',
    type: 'email',
    report: {
      notification_id: '0198c5a2-7d1e-7c43-9f5b-2a64b1e0d001',
      user_id: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
      attempt: 2,
      category: 'newsletter',
      status: 'bounced',
      error: {
        code: '5.5.0',
        class: 'permanent',
        message: '5.5.0 Requested action not taken: mailbox unavailable',
      },
      timestamp: '2026-02-12T17:42:55.592Z',
      event_id: '2kFIaaQLuQKTdp-Ia2Xr7w@1770918175',
      provider: 'mailgun',
      provider_message_id: MESSAGE,
      recipient: 'nobody@example.com',
      metadata: { reason: 'bounce', bounce_type: 'hard' },
    },
  })
})

test('tells events of one id and of different days apart, and no repeats', () => {
  const day = 86_400
  const idOn = (seconds: number) => {
    const event = { ...samples.delivered, timestamp: samples.delivered.timestamp + seconds }
    return Object(mapMailgun(event, NOW)).report.event_id
  }
  expect(idOn(day)).not.toBe(idOn(0))
  expect(idOn(0)).toBe(idOn(0))
})

test.each([
  ['accepted', 'sent'],
  ['delivered', 'delivered'],
  ['opened', 'opened'],
  ['clicked', 'clicked'],
  ['unsubscribed', 'unsubscribed'],
  ['complained', 'complained'],
] as const)('maps %s to %s, without an error', (name, status) => {
  expect(reportOfSample(name)).toMatchObject({ status, recipient: 'ann@example.com' })
  expect(reportOfSample(name).error).toBeUndefined()
})

test.each([
  ['softBounce', 'bounced', { code: '5.2.2', class: 'transient', message: '5.2.2 Mailbox full' }],
  ['tooOld', 'bounced', { code: '602', class: 'transient', message: 'Too old' }],
  [
    'suppressed',
    'suppressed',
    { code: '605', class: undefined, message: 'Not delivering to previously bounced address' },
  ],
  [
    'temporaryFailure',
    'deferred',
    {
      code: '421',
      class: 'transient',
      message: 'Your IP (192.0.2.10) is temporarily refused, retry later',
    },
  ],
  [
    'rejected',
    'failed',
    {
      code: undefined,
      class: 'config',
      message: 'Sandbox subdomains are for test purposes only',
    },
  ],
] as const)('maps %s to %s with its error', (name, status, error) => {
  expect(reportOfSample(name)).toMatchObject({ status })
  expect(reportOfSample(name).error).toEqual(error)
})

test('keeps opens and clicks of machines out of the statuses', () => {
  expect(map('openedByApple')).toEqual({ outcome: 'ignored', eventType: 'machine_open' })
  expect(map('clickedByScanner')).toEqual({ outcome: 'ignored', eventType: 'machine_click' })
})

test('ignores event types without a status', () => {
  expect(map('stored')).toEqual({ outcome: 'ignored', eventType: 'stored' })
  expect(mapMailgun({ event: 'constructor' }, NOW)).toEqual({ outcome: 'ignored', eventType: 'constructor' })
})

test('names only the message when the sender gave no variables', () => {
  const report = reportOfSample('withoutVariables')
  expect(report.notification_id).toBeUndefined()
  expect(report.provider_message_id).toBe(MESSAGE)
})

test('refuses what names neither a notification nor a message, and what has no type', () => {
  expect(mapMailgun({ event: 'delivered' }, NOW)).toMatchObject({ outcome: 'invalid' })
  expect(mapMailgun({ id: 'x' }, NOW)).toMatchObject({ outcome: 'invalid', raw: { id: 'x' } })
  expect(mapMailgun(null, NOW)).toMatchObject({ outcome: 'invalid', raw: null })
})

test('drops unusable values of the sender, not the event', () => {
  const variables = { notification_id: '..', user_id: 'ann', attempt: 'two', category: 'News!' }
  const mapped = mapMailgun({ ...samples.delivered, 'user-variables': variables }, NOW)
  expect(mapped).toMatchObject({ outcome: 'report', report: { provider_message_id: MESSAGE } })
  expect(JSON.stringify(mapped)).not.toMatch(/"(notification_id|user_id|attempt|category)"/)
})

test('keeps neither addresses of the network nor links', () => {
  for (const name of ['opened', 'clicked', 'unsubscribed'] as const) {
    const { recipient: _recipient, ...stored } = reportOfSample(name)
    expect(JSON.stringify(stored)).not.toMatch(/198\.51\.100|https:|ann@|Mozilla|Berlin/)
  }
})
