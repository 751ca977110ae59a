import { expect, test } from 'vitest'
import { readSimulated } from '../testing/simulated-outcomes.ts'
import { resendReceiver } from './receiver.ts'
import { resendSimulator } from './simulate.ts'

test('simulates signed traffic that the receiver reads', async () => {
  const secret = `whsec_${Buffer.from('a made-up secret').toString('base64')}`
  expect(await readSimulated(resendSimulator, resendReceiver, secret, 'ann@example.com')).toEqual({
    sent: 'sent',
    delivered: 'delivered',
    deferred: 'deferred',
    hard_bounce: 'bounced permanent',
    soft_bounce: 'bounced transient',
    complained: 'complained',
    opened: 'opened',
    machine_open: null,
    clicked: 'clicked',
    unsubscribed: null,
  })
})
