import { readHeader } from '../header.ts'
import type { HookCredentials, HookRequest, Verification } from '../provider.ts'
import { haveSameBytes } from '../same-bytes.ts'
import { digestStandardWebhook, keyOf } from './sign.ts'

/** As in the libraries of the standard. Each retry is signed again, with the time of the retry. */
const TOLERANCE_SECONDS = 5 * 60

interface SignedHeaders {
  id: string
  timestamp: string
  signature: string
}

/** Resend names the headers as Svix does. The standard's own names are equal in meaning. */
export function readSignedHeaders(request: HookRequest): SignedHeaders | undefined {
  for (const prefix of ['svix', 'webhook']) {
    const [id, timestamp, signature] = ['id', 'timestamp', 'signature'].map((name) =>
      readHeader(request, `${prefix}-${name}`),
    )
    if (id && timestamp && signature) return { id, timestamp, signature }
  }
  return undefined
}

/**
 * Verifies a signature of the Standard Webhooks. Only symmetric signatures (`v1`) are accepted; a header holds several
 * while Resend rotates the secret.
 *
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function verifyResend(request: HookRequest, { secrets }: HookCredentials): Verification {
  const headers = readSignedHeaders(request)
  if (headers === undefined || !/^\d{1,12}$/.test(headers.timestamp))
    return { outcome: 'refused', reason: 'missing' }
  const { id, timestamp, signature } = headers
  const given = signature
    .split(' ')
    .filter((part) => part.startsWith('v1,'))
    .map((part) => Buffer.from(part.slice('v1,'.length), 'base64'))
  const isSigned = secrets.some((secret) => {
    const key = keyOf(secret)
    if (key === undefined) return false
    const expected = digestStandardWebhook(key, id, timestamp, request.body)
    return given.some((digest) => haveSameBytes(digest, expected))
  })
  if (!isSigned) return { outcome: 'refused', reason: 'signature' }
  const ageSeconds = Math.floor(request.now.getTime() / 1000) - Number(timestamp)
  if (Math.abs(ageSeconds) > TOLERANCE_SECONDS) return { outcome: 'refused', reason: 'stale' }
  return { outcome: 'verified' }
}
