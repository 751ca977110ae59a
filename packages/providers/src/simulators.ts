import { mailgunSimulator } from './mailgun/simulate.ts'
import { postmarkSimulator } from './postmark/simulate.ts'
import type { Provider } from './provider.ts'
import { resendSimulator } from './resend/simulate.ts'
import { sendgridSimulator } from './sendgrid/simulate.ts'
import { sesSimulator } from './ses/simulate.ts'
import type { Simulator } from './simulated.ts'
import { twilioSimulator } from './twilio/simulate.ts'

/** Makes and signs the traffic of each provider. */
export const SIMULATORS: Readonly<Record<Provider, Simulator>> = {
  sendgrid: sendgridSimulator,
  ses: sesSimulator,
  postmark: postmarkSimulator,
  mailgun: mailgunSimulator,
  resend: resendSimulator,
  twilio: twilioSimulator,
}
