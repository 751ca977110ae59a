import { describe, expect, it } from 'vitest'
import { MACHINE_OPEN } from './machine-open.ts'
import { createReceivers } from './receivers.ts'
import { makeSendgridKeys } from './sendgrid/sign.ts'
import { makeSesKeys } from './ses/sign.ts'
import { SIMULATED_OUTCOMES, type SimulatedOutcome } from './simulated.ts'
import { SIMULATORS } from './simulators.ts'

const NOW = new Date('2026-03-01T12:00:00Z')
const TOPIC = 'arn:aws:sns:eu-central-1:123456789012:MyTopic'

const sendgrid = makeSendgridKeys()
const ses = makeSesKeys()

/** What the simulator signs with, and what the hook verifies by. */
const KEYS = {
  sendgrid: [sendgrid.privateKey, sendgrid.publicKey],
  ses: [ses.privateKey, ses.publicKey],
  postmark: ['a secret', 'a secret'],
} as const

const EXPECTED: Record<SimulatedOutcome, object> = {
  sent: { report: { status: 'sent' } },
  delivered: { report: { status: 'delivered' } },
  deferred: { report: { error: { class: 'transient' } } },
  hard_bounce: { report: { status: 'bounced', error: { code: '5.1.1', class: 'permanent' } } },
  soft_bounce: { report: { status: 'bounced', error: { class: 'transient' } } },
  complained: { report: { status: 'complained' } },
  opened: { report: { status: 'opened' } },
  machine_open: { outcome: 'ignored', eventType: MACHINE_OPEN },
  clicked: { report: { status: 'clicked' } },
  unsubscribed: { report: { status: 'unsubscribed' } },
}

/** A small generator with a seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    const mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const stepOf = (outcome: SimulatedOutcome, random: () => number) => ({
  outcome,
  random,
  notificationId: 'notif-1',
  recipient: 'ann@example.com',
  messageKey: 'abc-1',
  at: NOW,
})

describe.each(Object.keys(KEYS) as (keyof typeof KEYS)[])('%s', (provider) => {
  const receiver = createReceivers({ fetchCertificate: () => Promise.reject(new Error('It fetched')) })[
    provider
  ]
  const simulator = SIMULATORS[provider]
  const [secret, verifiedBy] = KEYS[provider]
  const hook = { url: `https://tidings.example.com/hooks/${provider}/h1`, secret, topicArn: TOPIC }

  it.each(SIMULATED_OUTCOMES)(
    'simulates %s so that its receiver accepts and understands it',
    async (outcome) => {
      const event = simulator.simulate(stepOf(outcome, createRandom(7)))
      // Only the answer to the sending says that Postmark took a message.
      if (event === undefined) return expect([provider, outcome]).toEqual(['postmark', 'sent'])
      const request = { ...simulator.request([event], hook, NOW), now: NOW }
      const credentials = { secrets: [verifiedBy], topicArns: [TOPIC] }
      expect(await receiver.verify(request, credentials)).toEqual({ outcome: 'verified' })
      const payload = receiver.read(request)
      expect(payload).toMatchObject({ kind: 'events', events: [EXPECTED[outcome]] })
      if (outcome !== 'machine_open')
        expect(payload).toMatchObject({
          events: [
            {
              report: {
                notification_id: 'notif-1',
                provider_message_id: 'abc-1',
                recipient: 'ann@example.com',
                timestamp: NOW.toISOString(),
              },
            },
          ],
        })
    },
  )

  it('makes the same events of the same seed, and others of another', () => {
    const make = (seed: number) => simulator.simulate(stepOf('delivered', createRandom(seed)))
    expect(make(7)).toEqual(make(7))
    expect(make(7)).not.toEqual(make(8))
  })
})
