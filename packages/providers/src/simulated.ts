/** What can be simulated of a message. Each provider has a word of its own for it. */
export const SIMULATED_OUTCOMES = [
  'sent',
  'delivered',
  'deferred',
  'hard_bounce',
  'soft_bounce',
  'complained',
  'opened',
  'machine_open',
  'clicked',
  'unsubscribed',
] as const
export type SimulatedOutcome = (typeof SIMULATED_OUTCOMES)[number]

/** One step in the life of a message. */
export interface SimulatedStep {
  outcome: SimulatedOutcome
  /** A generator with a seed: 0 to 1, without 1. Equal seeds give equal traffic. */
  random: () => number
  notificationId: string
  /** An address, or a phone number for Twilio. */
  recipient: string
  /** The same for all steps of a message: the provider's message id is made of it. 1 to 40 letters, digits and dashes. */
  messageKey: string
  at: Date
}

/** Makes one event as the provider writes it. Undefined when the provider has no event for the outcome. */
export type Simulate = (step: SimulatedStep) => unknown

/** The hook that simulated events are sent to. */
export interface SimulatedHook {
  url: string
  /** The hook's secret; for SendGrid and SES the private key of a trial hook, as PEM. */
  secret: string
  /** One of the hook's topics. For SES only. */
  topicArn?: string | undefined
}

export interface SimulatedRequest {
  url: string
  headers: Record<string, string>
  body: Buffer
}

export interface Simulator {
  /** Most events that the provider puts into one request. */
  readonly batchSize: number
  simulate: Simulate
  /**
   * Builds and signs a request as the provider does.
   *
   * @param events 1 to `batchSize` results of `simulate`.
   */
  request(events: readonly unknown[], hook: SimulatedHook, now: Date): SimulatedRequest
}

const DIGITS = '0123456789abcdef'

/** Random hex digits. */
export const randomHex = (random: () => number, length: number): string =>
  Array.from({ length }, () => DIGITS.charAt(Math.floor(random() * 16))).join('')
