import { postmarkReceiver } from './postmark/receiver.ts'
import type { Receiver } from './provider.ts'
import { sendgridReceiver } from './sendgrid/receiver.ts'
import { createSesReceiver } from './ses/receiver.ts'
import type { FetchCertificate } from './ses/verify.ts'

/** The receivers of all providers, by name. */
export function createReceivers(deps: { fetchCertificate: FetchCertificate }) {
  return {
    sendgrid: sendgridReceiver,
    ses: createSesReceiver(deps),
    postmark: postmarkReceiver,
    // mailgun, resend and twilio
  } satisfies Partial<Record<string, Receiver>>
}
