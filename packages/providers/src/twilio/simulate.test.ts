import { expect, test } from 'vitest'
import { readSimulated } from '../testing/simulated-outcomes.ts'
import { twilioReceiver } from './receiver.ts'
import { twilioSimulator } from './simulate.ts'

test('simulates signed traffic that the receiver reads', async () => {
  expect(await readSimulated(twilioSimulator, twilioReceiver, 'an auth token', '+15005550010')).toEqual({
    sent: 'sent',
    delivered: 'delivered',
    deferred: null,
    hard_bounce: 'bounced permanent',
    soft_bounce: 'bounced transient',
    complained: null,
    opened: 'opened',
    machine_open: null,
    clicked: null,
    unsubscribed: null,
  })
})
