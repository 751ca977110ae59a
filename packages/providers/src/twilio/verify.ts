import { readHeader } from '../header.ts'
import type { HookCredentials, HookRequest, Verification } from '../provider.ts'
import { haveSameBytes } from '../same-bytes.ts'
import { digestBody, digestTwilio } from './sign.ts'

/** Base64 of 20 bytes. */
const SIGNATURE = /^[A-Za-z0-9+/]{27}=$/

/**
 * Verifies the header X-Twilio-Signature. There is no time in it: an old request passes, and is harmless because its
 * events are the same again.
 *
 * @see https://www.twilio.com/docs/usage/security#validating-requests
 */
export function verifyTwilio(request: HookRequest, { secrets }: HookCredentials): Verification {
  const header = readHeader(request, 'x-twilio-signature')
  if (header === undefined || header === '') return { outcome: 'refused', reason: 'missing' }
  if (!SIGNATURE.test(header)) return { outcome: 'refused', reason: 'signature' }
  const bodyDigest = queryOf(request.url).get('bodySHA256')
  if (bodyDigest !== null && !haveSameBytes(Buffer.from(bodyDigest), Buffer.from(digestBody(request.body))))
    return { outcome: 'refused', reason: 'signature' }
  const form = bodyDigest === null ? readForm(request.body) : new URLSearchParams()
  const given = Buffer.from(header, 'base64')
  // An empty key is known to everybody.
  const isSigned = secrets.some(
    (secret) =>
      secret !== '' &&
      urlVariants(request.url).some((url) => haveSameBytes(given, digestTwilio(secret, url, form))),
  )
  return isSigned ? { outcome: 'verified' } : { outcome: 'refused', reason: 'signature' }
}

export const readForm = (body: Buffer): URLSearchParams => new URLSearchParams(body.toString())

/** Not by the class URL, which throws and changes characters. */
export function queryOf(url: string): URLSearchParams {
  const start = url.indexOf('?')
  return new URLSearchParams(start === -1 ? '' : url.slice(start + 1))
}

/** Twilio signs some URLs with the default port and some without, whatever the sender wrote. */
function urlVariants(url: string): string[] {
  const parts = /^(https?):\/\/([^/?#]*?)(?::\d+)?([/?#].*)?$/is.exec(url)
  if (parts === null) return [url]
  const [, scheme = '', host = '', rest = ''] = parts
  const port = scheme.toLowerCase() === 'https' ? 443 : 80
  return [url, `${scheme}://${host}${rest}`, `${scheme}://${host}:${port}${rest}`]
}
