import { hash } from 'node:crypto'
import type { Simulate, SimulatedOutcome, Simulator } from '../simulated.ts'
import { signTwilio } from './sign.ts'

/** The status of each outcome. A text message has no others. */
const OUTCOMES: Readonly<Partial<Record<SimulatedOutcome, { status: string; code?: string }>>> = {
  sent: { status: 'sent' },
  delivered: { status: 'delivered' },
  hard_bounce: { status: 'undelivered', code: '30005' },
  soft_bounce: { status: 'undelivered', code: '30003' },
  opened: { status: 'read' },
}

interface SimulatedCallback {
  notificationId: string
  parameters: Record<string, string>
}

const simulateTwilio: Simulate = ({ outcome, notificationId, recipient, messageKey }) => {
  const known = OUTCOMES[outcome]
  if (known === undefined) return undefined
  const { status, code } = known
  const messageSid = `SM${hash('sha256', messageKey).slice(0, 32)}`
  const parameters = {
    AccountSid: 'AC00000000000000000000000000000000',
    ApiVersion: '2010-04-01',
    From: '+15005550006',
    MessageSid: messageSid,
    MessageStatus: status,
    SmsSid: messageSid,
    SmsStatus: status,
    To: recipient,
    ...(code !== undefined && { ErrorCode: code }),
  }
  return { notificationId, parameters } satisfies SimulatedCallback
}

export const twilioSimulator: Simulator = {
  batchSize: 1,
  simulate: simulateTwilio,
  /** The sender names the notification in the URL of its callback. */
  request([event], hook) {
    const { notificationId, parameters } = event as SimulatedCallback
    const url = `${hook.url}?${new URLSearchParams({ notification_id: notificationId })}`
    const form = new URLSearchParams(parameters)
    return { url, headers: signTwilio(url, form, hook.secret), body: Buffer.from(form.toString()) }
  },
}
