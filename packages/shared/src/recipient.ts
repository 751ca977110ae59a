import { createHmac } from 'node:crypto'
import { domainToASCII } from 'node:url'
import type { NotificationType } from './status-event.ts'

/** Of an installation that sets no RECIPIENT_KEY: anybody can digest a guessed address with it. */
export const DEFAULT_RECIPIENT_KEY = 'tidings-not-secret'

/**
 * Digests an e-mail address or push token with HMAC-SHA256, so that it can be found and not read. Upper and lower case
 * of an address are equal, and so are the two forms of a domain: a sender writes bücher.example, and the provider reports
 * xn--bcher-kva.example. Blanks around it do not count.
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
  if (type !== 'email') return trimmed
  const address = trimmed.normalize('NFC').toLowerCase()
  const domain = address.slice(address.lastIndexOf('@') + 1)
  // ASCII needs no conversion. It gives an empty text for what is no domain.
  const ascii = /[^\0-\x7f]/.test(domain) ? domainToASCII(domain) || domain : domain
  return address.slice(0, address.length - domain.length) + ascii
}
