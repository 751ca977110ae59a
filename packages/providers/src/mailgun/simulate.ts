import { hash } from 'node:crypto'
import { randomHex, type Simulate, type SimulatedOutcome, type Simulator } from '../simulated.ts'
import { signMailgun } from './sign.ts'

/** What differs between the outcomes. */
const OUTCOMES: Readonly<Record<SimulatedOutcome, object>> = {
  sent: { event: 'accepted', 'log-level': 'info' },
  delivered: {
    event: 'delivered',
    'log-level': 'info',
    'delivery-status': { 'attempt-no': 1, code: 250, message: 'OK', 'mx-host': 'mx.example.com' },
  },
  deferred: {
    event: 'failed',
    'log-level': 'warn',
    severity: 'temporary',
    reason: 'generic',
    'delivery-status': { code: 451, 'enhanced-code': '4.7.1', message: '4.7.1 Try again later' },
  },
  hard_bounce: {
    event: 'failed',
    'log-level': 'error',
    severity: 'permanent',
    reason: 'bounce',
    'delivery-status': {
      code: 550,
      'enhanced-code': '5.1.1',
      message: '5.1.1 The mailbox does not exist',
      'bounce-type': 'hard',
    },
  },
  soft_bounce: {
    event: 'failed',
    'log-level': 'error',
    severity: 'permanent',
    reason: 'bounce',
    'delivery-status': {
      code: 552,
      'enhanced-code': '5.2.2',
      message: '5.2.2 The mailbox is full',
      'bounce-type': 'soft',
    },
  },
  complained: { event: 'complained', 'log-level': 'warn' },
  opened: { event: 'opened', 'client-info': { 'client-name': 'Thunderbird', bot: '' } },
  machine_open: {
    event: 'opened',
    'client-info': { 'client-name': 'unknown', 'user-agent': 'Mozilla/5.0', bot: 'apple' },
  },
  clicked: {
    event: 'clicked',
    url: 'https://www.example.com/',
    'client-info': { 'client-name': 'Firefox', bot: '' },
  },
  unsubscribed: { event: 'unsubscribed', 'client-info': { 'client-name': 'Firefox', bot: '' } },
}

const simulateMailgun: Simulate = ({ outcome, random, notificationId, recipient, messageKey, at }) => ({
  id: randomHex(random, 22),
  timestamp: at.getTime() / 1000,
  account: { id: '65a1f0c2e3b4d5a6978812f0' },
  domain: { name: 'mail.example.com' },
  message: { headers: { 'message-id': `${messageKey}@mail.example.com` } },
  recipient,
  'recipient-domain': recipient.split('@').at(-1),
  tags: [],
  'user-variables': { notification_id: notificationId },
  ...OUTCOMES[outcome],
})

export const mailgunSimulator: Simulator = {
  batchSize: 1,
  simulate: simulateMailgun,
  request([event], { url, secret }, now) {
    const token = hash('sha256', JSON.stringify(event)).slice(0, 50)
    return {
      url,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(signMailgun(event, secret, token, now)),
    }
  },
}
