import { expect, it } from 'vitest'
import messages from './fixtures/messages.json' with { type: 'json' }
import { mapSes } from './map.ts'

const NOW = new Date('2026-03-01T13:00:00Z')
const map = (message: object) => mapSes(message, 'sns-1', NOW)
const fixture = (place: number) => {
  const message = messages[place]
  if (message === undefined) throw new Error(`There is no message ${place}`)
  return message
}

const common = {
  event_id: 'sns-1',
  provider: 'ses',
  provider_message_id: 'EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000',
  notification_id: 'notif-1',
  recipient: 'ann@example.com',
}
const reported = (report: object) => ({ outcome: 'report', type: 'email', report: { ...common, ...report } })
const at = (second: string) => `2026-03-01T12:00:${second}Z`

it('maps each documented message to exactly these fields', () => {
  expect(messages.flatMap(map)).toEqual([
    reported({
      status: 'sent',
      timestamp: at('00.000'),
      user_id: '7f0c2b3e-6a1d-4e5f-9a8b-0c1d2e3f4a5b',
      attempt: 2,
      category: 'newsletter',
    }),
    reported({ status: 'delivered', timestamp: at('01.000') }),
    reported({
      status: 'deferred',
      timestamp: at('02.000'),
      error: {
        code: '4.4.1',
        class: 'transient',
        message: 'smtp; 421 4.4.1 Unable to connect to remote host',
      },
      metadata: { delay_type: 'TransientCommunicationFailure' },
    }),
    reported({
      event_id: 'sns-1#0',
      status: 'bounced',
      timestamp: at('03.669'),
      error: { code: '5.1.1', class: 'permanent', message: 'smtp; 550 5.1.1 user unknown' },
      metadata: { bounce_type: 'Permanent', bounce_subtype: 'General' },
    }),
    reported({
      event_id: 'sns-1#1',
      recipient: 'bob@example.com',
      status: 'bounced',
      timestamp: at('03.669'),
      error: { code: 'General', class: 'permanent', message: 'General' },
      metadata: { bounce_type: 'Permanent', bounce_subtype: 'General' },
    }),
    reported({
      notification_id: undefined,
      status: 'bounced',
      timestamp: at('04.000'),
      error: { code: '5.2.2', class: 'transient', message: 'smtp; 552 mailbox full' },
      metadata: { bounce_type: 'Transient', bounce_subtype: 'MailboxFull' },
    }),
    reported({
      status: 'suppressed',
      timestamp: at('05.000'),
      error: {
        code: '5.1.1',
        class: 'permanent',
        message: 'Amazon SES did not send the message to this address.',
      },
      metadata: { bounce_type: 'Permanent', bounce_subtype: 'OnAccountSuppressionList' },
    }),
    reported({ status: 'complained', timestamp: at('06.000'), metadata: { complaint_type: 'abuse' } }),
    reported({
      status: 'failed',
      timestamp: at('07.000'),
      error: { code: 'Reject', class: 'config', message: 'Bad content' },
    }),
    reported({
      status: 'failed',
      timestamp: at('08.000'),
      error: {
        code: 'RenderingFailure',
        class: 'config',
        message: "Attribute 'attributeName' is not present in the rendering data.",
      },
    }),
    // It does not say which of two recipients opened it.
    reported({ status: 'opened', timestamp: at('09.000'), recipient: undefined }),
    { outcome: 'ignored', eventType: 'machine_open' },
    reported({ status: 'clicked', timestamp: at('11.000') }),
    // From everything, not from the message's category alone.
    reported({ status: 'unsubscribed', timestamp: at('12.000') }),
    reported({ status: 'unsubscribed', timestamp: at('13.000'), category: 'newsletter' }),
    { outcome: 'ignored', eventType: 'AmazonSnsSubscriptionSucceeded' },
  ])
})

it.each([
  ['Permanent', 'NoEmail', 'bounced', 'permanent'],
  ['Permanent', 'Suppressed', 'suppressed', 'permanent'],
  ['Permanent', 'UnsubscribedRecipient', 'suppressed', 'permanent'],
  ['Transient', 'General', 'bounced', 'transient'],
  ['Undetermined', 'Undetermined', 'bounced', 'transient'],
])('maps a bounce %s/%s to %s, %s', (bounceType, bounceSubType, status, errorClass) => {
  const bounced = { ...fixture(4), bounce: { bounceType, bounceSubType } }
  expect(map(bounced)).toMatchObject([
    { report: { status, error: { class: errorClass }, recipient: 'ann@example.com' } },
  ])
})

it('tells complaints from mail that was not sent, and from mail that is no spam', () => {
  const complaint = (details: object) => map({ ...fixture(6), complaint: details })
  expect(complaint({ complaintSubType: 'OnAccountSuppressionList' })).toMatchObject([
    { report: { status: 'suppressed' } },
  ])
  expect(complaint({ complaintFeedbackType: 'not-spam' })).toEqual([
    { outcome: 'ignored', eventType: 'Complaint not-spam' },
  ])
})

it('counts a subscription to more topics as ignored', () => {
  const topicSubscriptionStatus = [{ topicName: 'ExampleTopicName', subscriptionStatus: 'OptIn' }]
  const subscription = { newTopicPreferences: { unsubscribeAll: false, topicSubscriptionStatus } }
  expect(map({ ...fixture(12), subscription })).toEqual([{ outcome: 'ignored', eventType: 'Subscription' }])
})

it('counts a type that it does not know as ignored', () => {
  expect(map({ ...fixture(0), eventType: 'Teleport' })).toEqual([
    { outcome: 'ignored', eventType: 'Teleport' },
  ])
})

it.each([null, [], 'Send', 7, {}, { mail: {} }])('counts %j as invalid', (message) => {
  expect(mapSes(message, 'sns-1', NOW)).toMatchObject([{ outcome: 'invalid', raw: message }])
})

it('keeps nothing personal but the recipient', () => {
  for (const event of messages.flatMap(map)) {
    const { recipient: _, ...kept } = Object(event).report ?? {}
    expect(JSON.stringify(kept)).not.toMatch(/ann@|198\.51|token|secret|Mozilla/)
  }
})
