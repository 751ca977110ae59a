import { hash } from 'node:crypto'
import { randomHex, type Simulate, type SimulatedOutcome, type Simulator } from '../simulated.ts'
import { signResend } from './sign.ts'

/** The event of each outcome. Resend reports neither machine opens nor unsubscribes. */
const OUTCOMES: Readonly<Partial<Record<SimulatedOutcome, { type: string; data?: object }>>> = {
  sent: { type: 'email.sent' },
  delivered: { type: 'email.delivered' },
  deferred: { type: 'email.delivery_delayed' },
  hard_bounce: {
    type: 'email.bounced',
    data: { bounce: { type: 'Permanent', subType: 'General', message: 'The mailbox does not exist.' } },
  },
  soft_bounce: {
    type: 'email.bounced',
    data: { bounce: { type: 'Transient', subType: 'MailboxFull', message: 'The mailbox is full.' } },
  },
  complained: { type: 'email.complained' },
  opened: { type: 'email.opened' },
  clicked: {
    type: 'email.clicked',
    data: { click: { ipAddress: '198.51.100.7', link: 'https://www.example.com/', userAgent: 'Firefox' } },
  },
}

interface SimulatedEvent {
  webhookId: string
  payload: object
}

const simulateResend: Simulate = ({ outcome, random, notificationId, recipient, messageKey, at }) => {
  const webhookId = `msg_${randomHex(random, 27)}`
  const event = OUTCOMES[outcome]
  if (event === undefined) return undefined
  const payload = {
    type: event.type,
    created_at: at.toISOString(),
    data: {
      email_id: toUuid(messageKey),
      from: 'Example News <news@mail.example.com>',
      to: [recipient],
      subject: 'Your news',
      tags: { notification_id: notificationId },
      ...event.data,
    },
  }
  return { webhookId, payload } satisfies SimulatedEvent
}

export const resendSimulator: Simulator = {
  batchSize: 1,
  simulate: simulateResend,
  request([event], { url, secret }, now) {
    const { webhookId, payload } = event as SimulatedEvent
    const body = Buffer.from(JSON.stringify(payload))
    const headers = {
      'content-type': 'application/json',
      ...signResend(body, secret, webhookId, now),
    }
    return { url, headers, body }
  },
}

function toUuid(key: string): string {
  const hex = hash('sha256', key)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
