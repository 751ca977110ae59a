import { postmarkSimulator } from './postmark/simulate.ts'
import { sendgridSimulator } from './sendgrid/simulate.ts'
import { sesSimulator } from './ses/simulate.ts'
import type { Simulator } from './simulated.ts'

/** Makes and signs the traffic of each provider. */
export const SIMULATORS = {
  sendgrid: sendgridSimulator,
  ses: sesSimulator,
  postmark: postmarkSimulator,
  // mailgun, resend and twilio
} satisfies Partial<Record<string, Simulator>>
