import { expect, test } from 'vitest'
import { reportOf } from '../testing/report-of.ts'
import samples from './fixtures/events.json' with { type: 'json' }
import { mapTwilio } from './map.ts'

const MESSAGE = 'SM0123456789abcdef0123456789abcdef'
const QUERY = new URLSearchParams({
  notification_id: '0198c5a2-7d1e-7c43-9f5b-2a64b1e0d001',
  user_id: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
  attempt: '2',
  category: 'sign-in',
})

const map = (parameters: Record<string, string>, query = QUERY) =>
  mapTwilio(new URLSearchParams(parameters), query)
const reportOfSample = (name: keyof typeof samples) => reportOf(map(samples[name]))

test('maps an undelivered message to exactly these fields', () => {
  expect(map(samples.unknownNumber)).toEqual({
    outcome: 'report',
    type: 'push',
    report: {
      notification_id: '0198c5a2-7d1e-7c43-9f5b-2a64b1e0d001',
      user_id: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
      attempt: 2,
      category: 'sign-in',
      status: 'bounced',
      error: { code: '30005', class: 'permanent', message: 'The number is unknown or not in use.' },
      event_id: `${MESSAGE}:undelivered:30005`,
      provider: 'twilio',
      provider_message_id: MESSAGE,
      recipient: '+15005550010',
    },
  })
})

test.each([
  ['sent', 'sent'],
  ['delivered', 'delivered'],
  ['read', 'opened'],
] as const)('maps %s to %s, without an error', (name, status) => {
  expect(reportOfSample(name)).toMatchObject({ status, event_id: `${MESSAGE}:${name}` })
  expect(reportOfSample(name).error).toBeUndefined()
})

test.each([
  ['switchedOff', 'bounced', '30003', 'transient', 'The handset is switched off or not available.'],
  ['filtered', 'failed', '30007', 'config', 'Carrier Violation'],
  ['optedOut', 'suppressed', '21610', undefined, 'The recipient opted out.'],
  ['unknownCode', 'bounced', '30999', 'transient', 'The message was not delivered.'],
  ['failedWithoutCode', 'failed', undefined, undefined, 'The message was not sent.'],
] as const)('maps %s to %s with its error', (name, status, code, errorClass, message) => {
  expect(reportOfSample(name)).toMatchObject({ status })
  expect(reportOfSample(name).error).toEqual({ code, class: errorClass, message })
})

test.each(['accepted', 'queued', 'scheduled', 'sending', 'canceled', 'constructor', '__proto__'])(
  'ignores the status %s',
  (status) => {
    expect(map({ ...samples.queued, MessageStatus: status })).toEqual({
      outcome: 'ignored',
      eventType: status,
    })
  },
)

test('ignores a message that came in', () => {
  expect(map(samples.received)).toEqual({ outcome: 'ignored', eventType: 'received' })
})

test('does not take a code for a member of every object', () => {
  expect(map({ ...samples.failedWithoutCode, ErrorCode: 'constructor' })).toMatchObject({
    report: { status: 'failed', error: { code: 'constructor', message: 'The message was not sent.' } },
  })
})

test('names only the message when the callback URL has no id', () => {
  const mapped = map(samples.delivered, new URLSearchParams())
  expect(mapped).toMatchObject({ outcome: 'report', report: { provider_message_id: MESSAGE } })
  expect(JSON.stringify(mapped)).not.toContain('notification_id')
})

test('refuses a callback without a message or a status', () => {
  const { MessageStatus: _1, SmsStatus: _2, ...withoutStatus } = samples.sent
  const { MessageSid: _3, SmsSid: _4, ...withoutSid } = samples.sent
  for (const parameters of [{}, withoutStatus, withoutSid])
    expect(map(parameters)).toMatchObject({ outcome: 'invalid', raw: parameters })
})

test('keeps neither the text nor the phone numbers', () => {
  const { recipient: _recipient, ...stored } = reportOfSample('delivered')
  expect(JSON.stringify(stored)).not.toContain('+1500')
})
