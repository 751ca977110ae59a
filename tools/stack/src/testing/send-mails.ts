import { createTransport } from 'nodemailer'

export interface TestMail {
  to: string | string[]
  subject: string
  text: string
  html: string
}

/** Sends mails to an SMTP server, one after the other. */
export async function sendMails(smtpUrl: string, mails: readonly TestMail[]): Promise<void> {
  const transport = createTransport({ url: smtpUrl, pool: true, maxMessages: Number.POSITIVE_INFINITY })
  try {
    for (const mail of mails) await transport.sendMail({ from: 'tidings@example.com', ...mail })
  } finally {
    transport.close()
  }
}
