import type { Provider } from '@tidings/providers/provider'
import type { SimulatedOutcome } from '@tidings/providers/simulated'
import { SIMULATORS } from '@tidings/providers/simulators'
import { createRandom } from './random.ts'

export interface TrafficOptions {
  provider: Provider
  /** How many events. */
  count: number
  /** Share of messages that bounce, 0 to 1. */
  bounceRatio: number
  /** Equal seeds give equal outcomes in equal order. */
  seed: number
  /** Names the run: its messages and events have ids that no other run has. Letters and digits. */
  run: string
}

/** Of the messages that do not bounce. */
const DEFERRED_FIRST = 0.03
const OPENED = 0.3
const OPENED_BY_MACHINE = 0.2
const CLICKED = 0.05
const COMPLAINED = 0.001
const UNSUBSCRIBED = 0.002
/** Of the messages that bounce. */
const HARD_BOUNCES = 0.75

/** Makes events as the provider writes them: the lives of messages, one after the other. */
export function* makeEvents({ provider, count, bounceRatio, seed, run }: TrafficOptions): Generator<unknown> {
  const chance = createRandom(`${seed}`)
  // Event ids are drawn here. With those of another run, an event would be a repeat with other content.
  const random = createRandom(`${seed} ${run}`)
  const { simulate } = SIMULATORS[provider]
  let made = 0
  for (let message = 0; made < count; message++) {
    const recipient = provider === 'twilio' ? `+1500555${message % 10_000}` : `person-${message}@example.com`
    const about = {
      notificationId: `simulated-${run}-${message}`,
      messageKey: `${run}-${message}`,
      recipient,
    }
    for (const outcome of makeLife(chance, bounceRatio)) {
      const event = made < count ? simulate({ ...about, outcome, random, at: new Date() }) : undefined
      if (event === undefined) continue
      made++
      yield event
    }
  }
}

function makeLife(chance: () => number, bounceRatio: number): SimulatedOutcome[] {
  const sometimes = (share: number, outcome: SimulatedOutcome) => (chance() < share ? [outcome] : [])
  if (chance() < bounceRatio) return ['sent', chance() < HARD_BOUNCES ? 'hard_bounce' : 'soft_bounce']
  return [
    'sent',
    ...sometimes(DEFERRED_FIRST, 'deferred'),
    'delivered',
    ...sometimes(OPENED_BY_MACHINE, 'machine_open'),
    ...sometimes(OPENED, 'opened'),
    ...sometimes(CLICKED, 'clicked'),
    ...sometimes(UNSUBSCRIBED, 'unsubscribed'),
    ...sometimes(COMPLAINED, 'complained'),
  ]
}
