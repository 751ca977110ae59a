import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:net'
import { buffer } from 'node:stream/consumers'
import PostalMime from 'postal-mime'
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server'

/** A mail as the mailbox keeps it. */
export interface KeptMail {
  id: string
  /** The addresses of the envelope, separated by commas. */
  to: string
  subject: string
  text: string
  html: string
  /** ISO 8601. */
  received_at: string
}

/** An SMTP server that delivers nothing: it keeps mails in memory and shows them. */
export interface Mailbox {
  /** Takes mails. */
  smtpUrl: string
  /** `GET <url>/messages` answers with the mails, newest first. */
  url: string
  close(): Promise<void>
}

const HOST = '127.0.0.1'
const KEPT_MAILS = 500
const MAX_MAIL_BYTES = 1024 * 1024
/** How long close() waits for connections. */
const CLOSE_LIMIT_MS = 500

/** Starts a mailbox on free ports of this machine only. */
export async function startMailbox(): Promise<Mailbox> {
  const mails: KeptMail[] = []
  const smtp = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    size: MAX_MAIL_BYTES,
    closeTimeout: CLOSE_LIMIT_MS,
    onData(stream, session, done) {
      keepMail(stream, session).then(() => done(), done)
    },
  })
  // Such as a client that closes its connection early.
  smtp.on('error', () => {})
  const http = createServer((request, response) => {
    if (request.url !== '/messages') return void response.writeHead(404).end()
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(mails))
  })

  async function keepMail(stream: SMTPServerDataStream, { envelope }: SMTPServerSession): Promise<void> {
    const content = await buffer(stream)
    if (stream.sizeExceeded) throw Object.assign(new Error('The mail is too large'), { responseCode: 552 })
    const { subject = '', text = '', html = '' } = await PostalMime.parse(content)
    const to = envelope.rcptTo.map(({ address }) => address).join(', ')
    mails.unshift({ id: randomUUID(), to, subject, text, html, received_at: new Date().toISOString() })
    mails.splice(KEPT_MAILS)
  }

  const smtpPort = await listenOn(smtp.listen(0, HOST))
  const httpPort = await listenOn(http.listen(0, HOST))
  return {
    smtpUrl: `smtp://${HOST}:${smtpPort}`,
    url: `http://${HOST}:${httpPort}`,
    async close() {
      http.closeAllConnections()
      await Promise.all([
        new Promise<void>((resolve) => smtp.close(resolve)),
        new Promise<void>((resolve) => http.close(() => resolve())),
      ])
    },
  }
}

async function listenOn(server: Server): Promise<number> {
  if (!server.listening) await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The mailbox has no port')
  return address.port
}
