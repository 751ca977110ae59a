import { createHmac } from 'node:crypto'

const PREFIX = 'whsec_'
const BASE64 = /^(?:[\w+/-]{4})*(?:[\w+/-]{2}(?:==)?|[\w+/-]{3}=?)?$/

/** @returns undefined for text that is no secret. An empty key would be known to everybody. */
export function keyOf(secret: string): Buffer | undefined {
  const encoded = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret
  if (!BASE64.test(encoded)) return undefined
  const key = Buffer.from(encoded, 'base64')
  return key.length === 0 ? undefined : key
}

/** The digest of the Standard Webhooks, over the bytes of the body. */
export const digestStandardWebhook = (key: Buffer, id: string, timestamp: string, body: Buffer): Buffer =>
  createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest()

/**
 * Signs a body as Resend does.
 *
 * @param id stays the same when the webhook is repeated.
 * @throws TypeError when the secret is not `whsec_` and base64.
 */
export function signResend(body: Buffer, secret: string, id: string, now: Date): Record<string, string> {
  const key = keyOf(secret)
  if (key === undefined) throw new TypeError('A signing secret of Resend is whsec_ and base64.')
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const digest = digestStandardWebhook(key, id, timestamp, body)
  return {
    'svix-id': id,
    'svix-timestamp': timestamp,
    'svix-signature': `v1,${digest.toString('base64')}`,
  }
}
