import { expect, test } from 'vitest'
import { readSimulated } from '../testing/simulated-outcomes.ts'
import { mailgunReceiver } from './receiver.ts'
import { mailgunSimulator } from './simulate.ts'

test('simulates signed traffic that the receiver reads', async () => {
  expect(await readSimulated(mailgunSimulator, mailgunReceiver, 'a signing key', 'ann@example.com')).toEqual({
    sent: 'sent',
    delivered: 'delivered',
    deferred: 'deferred transient',
    hard_bounce: 'bounced permanent',
    soft_bounce: 'bounced transient',
    complained: 'complained',
    opened: 'opened',
    machine_open: 'machine_open',
    clicked: 'clicked',
    unsubscribed: 'unsubscribed',
  })
})
