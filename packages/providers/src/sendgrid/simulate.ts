import {
  randomHex,
  type SimulatedHook,
  type SimulatedOutcome,
  type SimulatedRequest,
  type SimulatedStep,
  type Simulator,
} from '../simulated.ts'
import { signSendgrid } from './sign.ts'

const EVENTS: Record<SimulatedOutcome, Record<string, unknown>> = {
  sent: { event: 'processed' },
  delivered: { event: 'delivered', response: '250 2.0.0 OK', ip: '192.0.2.10', tls: 1 },
  deferred: { event: 'deferred', response: '450 4.7.1 Greylisted, try again later', attempt: '1' },
  hard_bounce: {
    event: 'bounce',
    type: 'bounce',
    status: '5.1.1',
    reason: '550 5.1.1 The email account that you tried to reach does not exist.',
    bounce_classification: 'Invalid Address',
  },
  soft_bounce: {
    event: 'bounce',
    type: 'blocked',
    status: '5.7.1',
    reason: '550 5.7.1 The message was blocked for its content.',
    bounce_classification: 'Content',
  },
  complained: { event: 'spamreport' },
  opened: {
    event: 'open',
    useragent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0)',
    sg_machine_open: false,
  },
  machine_open: { event: 'open', useragent: 'Mozilla/5.0', sg_machine_open: true },
  clicked: { event: 'click', url: 'https://www.example.com/', useragent: 'Mozilla/5.0 (X11; Linux x86_64)' },
  unsubscribed: { event: 'unsubscribe' },
}

export const sendgridSimulator: Simulator = { batchSize: 100, simulate: simulateSendgrid, request: toRequest }

function simulateSendgrid(step: SimulatedStep): unknown {
  const { messageKey, notificationId, recipient, random, outcome, at } = step
  return {
    email: recipient,
    timestamp: Math.floor(at.getTime() / 1000),
    'smtp-id': `<${messageKey}@geopod-ismtpd-1>`,
    ...EVENTS[outcome],
    sg_event_id: Buffer.from(randomHex(random, 32), 'hex').toString('base64url'),
    sg_message_id: `${messageKey}.recvd-${randomHex(random, 10)}-1-${randomHex(random, 8)}-0.0`,
    notification_id: notificationId,
  }
}

function toRequest(events: readonly unknown[], { url, secret }: SimulatedHook, now: Date): SimulatedRequest {
  const body = Buffer.from(JSON.stringify(events))
  return { url, body, headers: { 'content-type': 'application/json', ...signSendgrid(body, secret, now) } }
}
