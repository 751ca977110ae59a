import { expect } from 'vitest'
import type { Receiver } from '../provider.ts'
import { SIMULATED_OUTCOMES, type SimulatedStep, type Simulator } from '../simulated.ts'

const NOW = new Date('2026-03-01T12:00:00.000Z')
const URL = 'https://tidings.example.com/hooks/any/h1'

/** Always the same numbers: enough where only the form of the traffic matters. */
const step = (outcome: SimulatedStep['outcome'], recipient: string): SimulatedStep => ({
  outcome,
  random: () => 0.5,
  notificationId: 'n-1',
  recipient,
  messageKey: 'message-1',
  at: new Date('2026-03-01T11:59:00.000Z'),
})

/**
 * Simulates each outcome, and expects that the receiver verifies the request and reads the notification of it.
 *
 * @returns by outcome the status (with the class of its error) that was read, the name of an ignored event, or null for
 *   an outcome that the provider does not report.
 */
export async function readSimulated(
  simulator: Simulator,
  receiver: Receiver,
  secret: string,
  recipient: string,
): Promise<Record<string, string | null>> {
  const read: Record<string, string | null> = {}
  for (const outcome of SIMULATED_OUTCOMES) {
    const event = simulator.simulate(step(outcome, recipient))
    expect(simulator.simulate(step(outcome, recipient))).toEqual(event)
    read[outcome] = event === undefined ? null : await receive(event)
  }
  return read

  async function receive(event: unknown): Promise<string> {
    const sent = { ...simulator.request([event], { url: URL, secret }, NOW), now: NOW }
    expect(await receiver.verify(sent, { secrets: [secret], topicArns: [] })).toEqual({ outcome: 'verified' })
    const payload = receiver.read(sent)
    const mapped = payload.kind === 'events' ? payload.events[0] : undefined
    if (mapped?.outcome === 'ignored') return mapped.eventType
    expect(mapped).toMatchObject({ outcome: 'report', report: { notification_id: 'n-1', recipient } })
    if (mapped?.outcome !== 'report') return ''
    const { status, error } = mapped.report
    return typeof error === 'object' ? `${status} ${error.class}` : status
  }
}
