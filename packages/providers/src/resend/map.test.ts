import { expect, test } from 'vitest'
import { reportOf } from '../testing/report-of.ts'
import samples from './fixtures/events.json' with { type: 'json' }
import { mapResend } from './map.ts'

const NOW = new Date('2026-03-01T00:00:00.000Z')
const WEBHOOK = 'msg_2mAdEuP0000000000000000001'
const MESSAGE = '56761188-7520-42d8-8898-ff6fc54ce618'

const map = (name: keyof typeof samples) => mapResend(samples[name], WEBHOOK, NOW)
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
        code: 'General',
        class: 'permanent',
        message: "The recipient's email address is on the list of addresses that do not exist.",
      },
      timestamp: '2026-02-22T23:41:15.006Z',
      event_id: WEBHOOK,
      provider: 'resend',
      provider_message_id: MESSAGE,
      recipient: 'nobody@example.com',
      metadata: { bounce_type: 'Permanent', bounce_subtype: 'General' },
    },
  })
})

test.each([
  ['sent', 'sent'],
  ['delivered', 'delivered'],
  ['delayed', 'deferred'],
  ['complained', 'complained'],
  ['opened', 'opened'],
  ['clicked', 'clicked'],
] as const)('maps %s to %s, without an error', (name, status) => {
  expect(reportOfSample(name)).toMatchObject({ status, recipient: 'ann@example.com' })
  expect(reportOfSample(name).error).toBeUndefined()
  expect(reportOfSample(name).metadata).toBeUndefined()
})

test.each([
  [
    'softBounce',
    'bounced',
    { code: '5.2.2', class: 'transient', message: "smtp; 552 5.2.2 The recipient's inbox is full." },
  ],
  [
    'undetermined',
    'bounced',
    {
      code: 'Undetermined',
      class: 'transient',
      message: "The recipient's email provider sent a bounce message.",
    },
  ],
  [
    'suppressedBounce',
    'suppressed',
    { code: 'Suppressed', class: undefined, message: 'Resend has suppressed sending to this address.' },
  ],
  [
    'suppressed',
    'suppressed',
    {
      code: 'OnAccountSuppressionList',
      class: undefined,
      message: 'The address is on the suppression list of the account.',
    },
  ],
  ['failed', 'failed', { code: 'reached_daily_quota', class: 'config', message: 'reached_daily_quota' }],
] as const)('maps %s to %s with its error', (name, status, error) => {
  expect(reportOfSample(name)).toMatchObject({ status })
  expect(reportOfSample(name).error).toEqual(error)
})

test('ignores events without a status', () => {
  expect(map('scheduled')).toEqual({ outcome: 'ignored', eventType: 'email.scheduled' })
  expect(map('contactCreated')).toEqual({ outcome: 'ignored', eventType: 'contact.created' })
  expect(mapResend({ type: 'constructor' }, WEBHOOK, NOW)).toMatchObject({ outcome: 'ignored' })
})

test('reads tags that are a list of names and values', () => {
  expect(reportOfSample('tagsAsArray')).toMatchObject({
    notification_id: '0198c5a2-7d1e-7c43-9f5b-2a64b1e0d001',
    category: 'newsletter',
  })
})

test('names only the message when there are no tags', () => {
  expect(reportOfSample('withoutTags').notification_id).toBeUndefined()
  expect(reportOfSample('withoutTags').provider_message_id).toBe(MESSAGE)
})

test('names no recipient when Resend does not say which one it was', () => {
  expect(reportOfSample('severalRecipients').recipient).toBeUndefined()
  const { delivered } = samples
  const withCopy = { ...delivered, data: { ...delivered.data, cc: ['ben@example.com'] } }
  expect(JSON.stringify(mapResend(withCopy, WEBHOOK, NOW))).not.toContain('ben@example.com')
})

test('refuses what names neither a notification nor a message, and what has no type', () => {
  expect(mapResend({ type: 'email.sent' }, WEBHOOK, NOW)).toMatchObject({ outcome: 'invalid' })
  expect(mapResend([], WEBHOOK, NOW)).toMatchObject({ outcome: 'invalid', raw: [] })
})

test('keeps neither addresses of the network nor links nor subjects', () => {
  const { recipient: _recipient, ...stored } = reportOfSample('clicked')
  expect(JSON.stringify(stored)).not.toMatch(/198\.51\.100|https:|ann@|Mozilla|spring/)
})
