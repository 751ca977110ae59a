import { createHmac } from 'node:crypto'
import type { NotificationType } from './status-event.ts'

/** Of an installation that sets no RECIPIENT_KEY: anybody can digest a guessed address with it. */
export const DEFAULT_RECIPIENT_KEY = 'tidings-not-secret'

/**
 * Digests an e-mail address or push token with HMAC-SHA256, so that it can be found and not read. Upper and lower case
 * of an address are equal, and blanks around it do not count.
 *
 * @param key the secret RECIPIENT_KEY. With another key, nothing that was stored earlier is found.
 * @returns 64 hex digits.
 */
export function digestRecipient(key: string, type: NotificationType, recipient: string): string {
  return createHmac('sha256', key)
    .update(`${type}:${normalizeRecipient(type, recipient)}`)
    .digest('hex')
}

function normalizeRecipient(type: NotificationType, recipient: string): string {
  const trimmed = recipient.trim()
  return type === 'email' ? trimmed.toLowerCase() : trimmed
}
