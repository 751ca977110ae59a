import { createHmac } from 'node:crypto'

/** Mailgun signs the time and a random token, and nothing else of the body. */
export const digestMailgun = (signingKey: string, timestamp: string, token: string): Buffer =>
  createHmac('sha256', signingKey).update(timestamp).update(token).digest()

/** Makes the body of a webhook as Mailgun does. `token` is 50 hex digits, new for each event. */
export function signMailgun(eventData: unknown, signingKey: string, token: string, now: Date): string {
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const signature = digestMailgun(signingKey, timestamp, token).toString('hex')
  return JSON.stringify({ signature: { token, timestamp, signature }, 'event-data': eventData })
}
