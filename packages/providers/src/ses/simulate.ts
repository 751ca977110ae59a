import {
  randomHex,
  type SimulatedHook,
  type SimulatedOutcome,
  type SimulatedRequest,
  type SimulatedStep,
  type Simulator,
} from '../simulated.ts'
import { signSns } from './sign.ts'

interface SimulatedMessage {
  messageId: string
  message: unknown
}

export const sesSimulator: Simulator = { batchSize: 1, simulate: simulateSes, request: toRequest }

function simulateSes(step: SimulatedStep): SimulatedMessage {
  const { random, recipient, messageKey, notificationId, at } = step
  const timestamp = at.toISOString()
  const mail = {
    timestamp,
    messageId: messageKey,
    source: 'sender@example.com',
    sendingAccountId: '123456789012',
    destination: [recipient],
    tags: { 'ses:configuration-set': ['tidings'], notification_id: [notificationId] },
  }
  const digits = randomHex(random, 32)
  const messageId = [0, 8, 12, 16, 20].map((start, i, all) => digits.slice(start, all[i + 1])).join('-')
  return { messageId, message: { mail, ...eventOf(step.outcome, recipient, timestamp) } }
}

function eventOf(
  outcome: SimulatedOutcome,
  emailAddress: string,
  timestamp: string,
): Record<string, unknown> {
  const bounce = (bounceType: string, bounceSubType: string, status: string, diagnosticCode: string) => ({
    eventType: 'Bounce',
    bounce: {
      timestamp,
      bounceType,
      bounceSubType,
      bouncedRecipients: [{ emailAddress, action: 'failed', status, diagnosticCode }],
    },
  })
  switch (outcome) {
    case 'sent':
      return { eventType: 'Send', send: {} }
    case 'delivered':
      return {
        eventType: 'Delivery',
        delivery: { timestamp, recipients: [emailAddress], smtpResponse: '250 2.0.0 OK' },
      }
    case 'deferred':
      return {
        eventType: 'DeliveryDelay',
        deliveryDelay: {
          timestamp,
          delayType: 'TransientCommunicationFailure',
          delayedRecipients: [
            { emailAddress, status: '4.4.1', diagnosticCode: 'smtp; 421 4.4.1 Unable to connect' },
          ],
        },
      }
    case 'hard_bounce':
      return bounce('Permanent', 'NoEmail', '5.1.1', 'smtp; 550 5.1.1 user unknown')
    case 'soft_bounce':
      return bounce('Transient', 'MailboxFull', '5.2.2', 'smtp; 552 5.2.2 mailbox full')
    case 'complained':
      return {
        eventType: 'Complaint',
        complaint: {
          timestamp,
          complaintFeedbackType: 'abuse',
          complainedRecipients: [{ emailAddress }],
        },
      }
    case 'opened':
      return { eventType: 'Open', open: { timestamp, userAgent: 'Mozilla/5.0 (X11; Linux x86_64)' } }
    case 'machine_open':
      return { eventType: 'Open', open: { timestamp, userAgent: 'Mozilla/5.0' } }
    case 'clicked':
      return { eventType: 'Click', click: { timestamp, link: 'https://www.example.com/' } }
    case 'unsubscribed':
      return {
        eventType: 'Subscription',
        subscription: {
          timestamp,
          source: 'UnsubscribeHeader',
          newTopicPreferences: { unsubscribeAll: true },
        },
      }
  }
}

const DEFAULT_TOPIC = 'arn:aws:sns:us-east-1:123456789012:tidings'

function toRequest(
  [event]: readonly unknown[],
  { url, secret, topicArn = DEFAULT_TOPIC }: SimulatedHook,
  now: Date,
): SimulatedRequest {
  const { messageId, message } = event as SimulatedMessage
  const region = topicArn.split(':')[3]
  const envelope = signSns(
    {
      Type: 'Notification',
      MessageId: messageId,
      TopicArn: topicArn,
      Message: JSON.stringify(message),
      Timestamp: now.toISOString(),
      SignatureVersion: '2',
      SigningCertURL: `https://sns.${region}.amazonaws.com/SimpleNotificationService-trial.pem`,
    },
    secret,
  )
  const headers = { 'content-type': 'text/plain; charset=UTF-8', 'x-amz-sns-message-type': 'Notification' }
  return { url, headers, body: Buffer.from(JSON.stringify(envelope)) }
}
