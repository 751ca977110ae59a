import { z } from 'zod'
import { parseBody } from '../payload.ts'
import type { HookCredentials, HookRequest, Verification } from '../provider.ts'
import { haveSameBytes } from '../same-bytes.ts'
import { digestMailgun } from './sign.ts'

const hexDigest = z.string().regex(/^[0-9a-f]{64}$/)

/**
 * Nothing separates the time from the token when they are signed. So the time must have its ten digits, or digits of
 * the token could be moved to it.
 */
const signedSchema = z.object({
  signature: z.object({
    /** Documented as a number, shown as text. */
    timestamp: z
      .union([z.string(), z.number()])
      .transform(String)
      .pipe(z.string().regex(/^\d{10}$/)),
    token: z.string().regex(/^[\w-]{1,256}$/),
    signature: hexDigest,
    /** By the key of the main account, for events of a subaccount. */
    'parent-signature': hexDigest.optional().catch(undefined),
  }),
})

/**
 * Mailgun repeats a failed webhook for 8 hours and 5 minutes, and does not say that it signs it again. An hour is added
 * for its own delays.
 */
const MAX_AGE_MS = 9 * 60 * 60 * 1000
/** How far Mailgun's clock may be ahead of ours. */
const MAX_AHEAD_MS = 5 * 60 * 1000
/** After this, a signature of a clock that was ahead is too old as well. */
export const REPLAY_WINDOW_MS = MAX_AGE_MS + MAX_AHEAD_MS

/**
 * Verifies the signature in the body. It covers the time and the token, not the event: TLS protects the event on its
 * way. A copied signature would pass with another event until MAX_AGE_MS have passed. So the API accepts each signature
 * once; see replayKeyOf.
 *
 * @see https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
 */
export function verifyMailgun({ body, now }: HookRequest, { secrets }: HookCredentials): Verification {
  const signed = readSigned(body)
  if (signed === undefined) return { outcome: 'refused', reason: 'missing' }
  const { timestamp, token, signature, 'parent-signature': byParent = signature } = signed
  const given = [signature, byParent].map((hex) => Buffer.from(hex, 'hex'))
  const isSigned = secrets.some((secret) => {
    // An empty key is known to everybody.
    if (secret === '') return false
    const expected = digestMailgun(secret, timestamp, token)
    return given.some((digest) => haveSameBytes(digest, expected))
  })
  if (!isSigned) return { outcome: 'refused', reason: 'signature' }
  const ageMs = now.getTime() - Number(timestamp) * 1000
  if (ageMs > MAX_AGE_MS || ageMs < -MAX_AHEAD_MS) return { outcome: 'refused', reason: 'stale' }
  return { outcome: 'verified' }
}

/** The signed text: the same for every body that the signature passes with. */
export function replayKeyOf({ body }: HookRequest): string | undefined {
  const signed = readSigned(body)
  return signed && `${signed.timestamp}${signed.token}`
}

function readSigned(body: Buffer) {
  const parsed = parseBody(body)
  return 'value' in parsed ? signedSchema.safeParse(parsed.value).data?.signature : undefined
}
