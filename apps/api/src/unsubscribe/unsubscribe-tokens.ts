import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'

/** Whom a link unsubscribes from what. */
export interface Unsubscription {
  /** Digest of the address: 64 hex digits. */
  digest: string
  /** Null: every message. */
  category: string | null
}

/** Signs and reads the tokens of links. They are stored nowhere and never expire: a mail is kept for years. */
export interface UnsubscribeTokens {
  sign(unsubscription: Unsubscription): string
  /** Undefined for a token that was not signed with this key. */
  read(token: string): Unsubscription | undefined
}

const VERSION = 1
const DIGEST_BYTES = 32
const HEADER_BYTES = 1 + DIGEST_BYTES
/** 128 bits cannot be guessed, and keep the link short. */
const SIGNATURE_BYTES = 16
/** Longer texts are no tokens; see LIMITS.categoryLength. */
const MAX_LENGTH = 256

/**
 * Makes the tokens of an installation: version, digest, category and HMAC-SHA256, in base64url.
 *
 * @param recipientKey the signing key is derived from it (HKDF, RFC 5869).
 * @returns undefined for the default key: anybody could unsubscribe anybody.
 */
export function createUnsubscribeTokens(recipientKey: string): UnsubscribeTokens | undefined {
  if (recipientKey === DEFAULT_RECIPIENT_KEY) return undefined
  const key = Buffer.from(hkdfSync('sha256', recipientKey, '', 'tidings unsubscribe link', 32))
  const signatureOf = (content: Buffer) =>
    createHmac('sha256', key).update(content).digest().subarray(0, SIGNATURE_BYTES)
  return {
    sign({ digest, category }) {
      const content = Buffer.concat([
        Buffer.of(VERSION),
        Buffer.from(digest, 'hex'),
        Buffer.from(category ?? '', 'utf8'),
      ])
      return Buffer.concat([content, signatureOf(content)]).toString('base64url')
    },
    read(token) {
      if (token.length > MAX_LENGTH) return undefined
      const bytes = Buffer.from(token, 'base64url')
      // Node ignores what is not base64url. One unsubscription has one token.
      if (bytes.length < HEADER_BYTES + SIGNATURE_BYTES || bytes.toString('base64url') !== token)
        return undefined
      const content = bytes.subarray(0, -SIGNATURE_BYTES)
      if (!timingSafeEqual(signatureOf(content), bytes.subarray(-SIGNATURE_BYTES))) return undefined
      if (content[0] !== VERSION) return undefined
      const category = content.toString('utf8', HEADER_BYTES)
      return {
        digest: content.toString('hex', 1, HEADER_BYTES),
        category: category === '' ? null : category,
      }
    },
  }
}
