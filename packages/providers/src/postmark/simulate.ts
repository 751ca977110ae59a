import {
  randomHex,
  type SimulatedHook,
  type SimulatedOutcome,
  type SimulatedRequest,
  type SimulatedStep,
  type Simulator,
} from '../simulated.ts'
import { signPostmark } from './sign.ts'

type Fields = Record<string, unknown>

const bounce = (Type: string, TypeCode: number, Details: string): Fields => ({
  RecordType: 'Bounce',
  Type,
  TypeCode,
  Details,
  Description: 'The server was unable to deliver your message.',
})

const RECORDS: Record<SimulatedOutcome, Fields | undefined> = {
  // The answer to the sending itself says that Postmark took it.
  sent: undefined,
  delivered: { RecordType: 'Delivery', Details: 'smtp;250 2.0.0 OK' },
  deferred: bounce('Transient', 2, 'smtp;450 4.7.1 Greylisted, try again later'),
  hard_bounce: bounce('HardBounce', 1, 'smtp;550 5.1.1 The email account does not exist.'),
  soft_bounce: bounce('SoftBounce', 4096, 'smtp;552 5.2.2 The mailbox is full.'),
  complained: { RecordType: 'SpamComplaint', Type: 'SpamComplaint', TypeCode: 100001 },
  opened: { RecordType: 'Open', FirstOpen: true, UserAgent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0)' },
  machine_open: { RecordType: 'Open', FirstOpen: true, UserAgent: 'Mozilla/5.0' },
  clicked: { RecordType: 'Click', ClickLocation: 'HTML', OriginalLink: 'https://www.example.com/' },
  unsubscribed: {
    RecordType: 'SubscriptionChange',
    Origin: 'Recipient',
    SuppressSending: true,
    SuppressionReason: 'ManualSuppression',
  },
}

export const postmarkSimulator: Simulator = { batchSize: 1, simulate: simulatePostmark, request: toRequest }

/** The names of the time and of the recipient. */
const NAMES: Readonly<Record<string, [string, string]>> = {
  Delivery: ['DeliveredAt', 'Recipient'],
  Bounce: ['BouncedAt', 'Email'],
  SpamComplaint: ['BouncedAt', 'Email'],
  SubscriptionChange: ['ChangedAt', 'Recipient'],
}

function simulatePostmark(step: SimulatedStep): unknown {
  const record = RECORDS[step.outcome]
  if (record === undefined) return undefined
  const [time, recipient] = NAMES[String(record.RecordType)] ?? ['ReceivedAt', 'Recipient']
  return {
    ...record,
    ID: Number.parseInt(randomHex(step.random, 8), 16),
    MessageID: step.messageKey,
    ServerID: 23,
    MessageStream: 'outbound',
    [recipient]: step.recipient,
    [time]: step.at.toISOString(),
    Metadata: { notification_id: step.notificationId },
  }
}

function toRequest([record]: readonly unknown[], { url, secret }: SimulatedHook): SimulatedRequest {
  const headers = { 'content-type': 'application/json', ...signPostmark(secret) }
  return { url, headers, body: Buffer.from(JSON.stringify(record)) }
}
