import { expect, test } from 'vitest'
import samples from './fixtures/events.json' with { type: 'json' }
import { mapResend } from './map.ts'

const NOW = new Date('2026-03-01T00:00:00.000Z')
const WEBHOOK = 'msg_2mAdEuP0000000000000000001'
const MESSAGE = '56761188-7520-42d8-8898-ff6fc54ce618'

const map = (name: keyof typeof samples) => mapResend(samples[name], WEBHOOK, NOW)
const reportOf = (name: keyof typeof samples) => {
  const mapped = map(name)
  if (mapped.outcome !== 'report') throw new Error(`${name} has no report`)
  return mapped.report
}

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
  expect(reportOf(name)).toMatchObject({ status, recipient: 'ann@example.com' })
  expect(reportOf(name).error).toBeUndefined()
  expect(reportOf(name).metadata).toBeUndefined()
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
  expect(reportOf(name)).toMatchObject({ status })
  expect(reportOf(name).error).toEqual(error)
})

test('ignores events without a status', () => {
  expect(map('scheduled')).toEqual({ outcome: 'ignored', eventType: 'email.scheduled' })
  expect(map('contactCreated')).toEqual({ outcome: 'ignored', eventType: 'contact.created' })
  expect(mapResend({ type: 'constructor' }, WEBHOOK, NOW)).toMatchObject({ outcome: 'ignored' })
})

test('reads tags that are a list of names and values', () => {
  expect(reportOf('tagsAsArray')).toMatchObject({
    notification_id: '0198c5a2-7d1e-7c43-9f5b-2a64b1e0d001',
    category: 'newsletter',
  })
})

test('names only the message when there are no tags', () => {
  expect(reportOf('withoutTags').notification_id).toBeUndefined()
  expect(reportOf('withoutTags').provider_message_id).toBe(MESSAGE)
})

test('names no recipient when Resend does not say which one it was', () => {
  expect(reportOf('severalRecipients').recipient).toBeUndefined()
  const { delivered } = samples
  const withCopy = { ...delivered, data: { ...delivered.data, cc: ['ben@example.com'] } }
  expect(JSON.stringify(mapResend(withCopy, WEBHOOK, NOW))).not.toContain('ben@example.com')
})

test('refuses what names neither a notification nor a message, and what has no type', () => {
  expect(mapResend({ type: 'email.sent' }, WEBHOOK, NOW)).toMatchObject({ outcome: 'invalid' })
  expect(mapResend([], WEBHOOK, NOW)).toMatchObject({ outcome: 'invalid', raw: [] })
})

test('keeps neither addresses of the network nor links nor subjects', () => {
  const { recipient: _recipient, ...stored } = reportOf('clicked')
  expect(JSON.stringify(stored)).not.toMatch(/198\.51\.100|https:|ann@|Mozilla|spring/)
})
