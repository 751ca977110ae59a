import { hash, timingSafeEqual } from 'node:crypto'
import { readHeader } from '../header.ts'
import type { HookCredentials, HookRequest, Verification } from '../provider.ts'

/** The user name of every hook. The password is the hook's secret. */
export const POSTMARK_USER = 'tidings'

/**
 * Postmark signs nothing. It sends the name and the password of the URL, so whoever reads a request can send others: the
 * body is protected by TLS only.
 *
 * https://postmarkapp.com/developer/webhooks/webhooks-overview
 */
export function verifyPostmark(request: HookRequest, { secrets }: HookCredentials): Verification {
  const header = readHeader(request, 'authorization')
  if (header === undefined) return { outcome: 'refused', reason: 'missing' }
  const [, base64] = /^basic +([\w+/=-]+) *$/i.exec(header) ?? []
  const given = Buffer.from(base64 ?? '', 'base64').toString()
  // An empty secret is known to everybody.
  const matches = secrets.map((secret) => secret !== '' && isEqual(given, `${POSTMARK_USER}:${secret}`))
  return matches.includes(true) ? { outcome: 'verified' } : { outcome: 'refused', reason: 'signature' }
}

/** Compares digests, so that timing reveals nothing, not even the length. */
const isEqual = (given: string, expected: string): boolean =>
  timingSafeEqual(hash('sha256', given, 'buffer'), hash('sha256', expected, 'buffer'))
