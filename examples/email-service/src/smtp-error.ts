import { z } from 'zod'
import type { StatusOfMessage } from './report-status.ts'

export type SmtpFailure = { status: 'bounced' | 'failed' | 'deferred' } & Required<StatusOfMessage>['error']

/** What nodemailer adds to an error. */
const smtpErrorSchema = z.looseObject({
  /** The SMTP command that was refused, such as RCPT TO. */
  command: z.string().catch(''),
  /** Of the SMTP answer, such as 550. Absent when there was none. */
  responseCode: z.number().optional().catch(undefined),
  response: z.string().optional().catch(undefined),
  code: z.string().catch('unknown'),
  message: z.string().catch('The mail could not be sent.'),
})

const MESSAGE_LENGTH = 500
/** Commands that are about the one mail. A refusal of any other is about the connection, such as a wrong password. */
const MAIL_COMMANDS = ['RCPT TO', 'DATA']

/**
 * Tells from an SMTP answer whether another attempt can help (RFC 5321, section 4.2.1): after 4xx it can, after 5xx
 * about this mail it cannot. A refused recipient is a bounce.
 *
 * @param link the link in the mail. A server may quote what it objects to, and the answer is stored: it loses the token.
 */
export function classifySmtpError(error: unknown, link?: string): SmtpFailure {
  const parsed = smtpErrorSchema.safeParse(error)
  if (!parsed.success)
    return { status: 'deferred', code: 'unknown', class: 'transient', message: 'The mail could not be sent.' }
  const { command, responseCode, response, code, message } = parsed.data
  const details = {
    code: String(responseCode ?? code),
    message: withoutToken(response ?? message, link).slice(0, MESSAGE_LENGTH),
  }
  if (responseCode === undefined || responseCode < 500)
    return { status: 'deferred', class: 'transient', ...details }
  if (!MAIL_COMMANDS.includes(command)) return { status: 'deferred', class: 'config', ...details }
  return { status: command === 'RCPT TO' ? 'bounced' : 'failed', class: 'permanent', ...details }
}

function withoutToken(text: string, link = ''): string {
  const token = /[?&]token=([\w-]+)/.exec(link)?.[1]
  return token === undefined ? text : text.replaceAll(token, '***')
}
