import { mailgunReceiver } from './mailgun/receiver.ts'
import { postmarkReceiver } from './postmark/receiver.ts'
import type { Provider, Receiver } from './provider.ts'
import { resendReceiver } from './resend/receiver.ts'
import { sendgridReceiver } from './sendgrid/receiver.ts'
import { createSesReceiver } from './ses/receiver.ts'
import type { FetchCertificate } from './ses/verify.ts'
import { twilioReceiver } from './twilio/receiver.ts'

/** The receivers of all providers, by name. */
export function createReceivers(deps: { fetchCertificate: FetchCertificate }): Record<Provider, Receiver> {
  return {
    sendgrid: sendgridReceiver,
    ses: createSesReceiver(deps),
    postmark: postmarkReceiver,
    mailgun: mailgunReceiver,
    resend: resendReceiver,
    twilio: twilioReceiver,
  }
}
