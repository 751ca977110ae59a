import type { OutboundJob } from '@tidings/shared/outbound-message'
import { createTransport } from 'nodemailer'
import { classifySmtpError, type SmtpFailure } from './smtp-error.ts'
import { renderMail } from './templates/render-mail.ts'

export type SendOutcome = { status: 'sent'; code?: undefined } | SmtpFailure

export interface Mailer {
  send(message: OutboundJob): Promise<SendOutcome>
  close(): void
}

/** Creates a mailer that keeps some connections to the SMTP server open. */
export function createMailer({ smtpUrl, from }: { smtpUrl: string; from: string }): Mailer {
  const transport = createTransport({
    url: smtpUrl,
    pool: true,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 30_000,
    // Texts of a message must never be read as paths or URLs.
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const domain = /@([^\s>]+)>?$/.exec(from)?.[1] ?? 'localhost'
  return {
    async send(message) {
      try {
        await transport.sendMail({
          ...renderMail(message),
          from,
          // Not as text, which could hold a list of addresses.
          to: { name: '', address: message.to },
          // The same at each attempt, so that mailboxes can recognize a repeat.
          messageId: `<${message.id}@${domain}>`,
          headers: { 'Auto-Submitted': 'auto-generated' },
        })
        return { status: 'sent' }
      } catch (error) {
        return classifySmtpError(error, message.variables.link)
      }
    },
    close: () => transport.close(),
  }
}
