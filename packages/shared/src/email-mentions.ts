/**
 * A regular expression, for JavaScript and PostgreSQL, that finds JSON's escape sequences. Replace them before
 * searching for an address: in `\nann@example.com` the letter of the escape would seem to belong to the address.
 */
export const JSON_ESCAPE = String.raw`\\(u[0-9a-f]{4}|.)`

/**
 * Makes a regular expression, for JavaScript and PostgreSQL, that finds an address in lower-case text. It does not
 * find `ann@example.com` in `joann@example.com`, `jo.ann@example.com` or `ann@example.com.au`. A quote before the
 * address does not belong to it: `to='ann@example.com'`.
 */
export function addressPattern(email: string): string {
  const address = email.toLowerCase().replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
  return String.raw`(?<![a-z0-9_%+-][.']?)${address}(?![a-z0-9-]|\.[a-z0-9-])`
}

/** Makes a test whether lower-case JSON mentions the address. Cheap when it does not. */
export function createAddressFinder(email: string): (json: string) => boolean {
  const address = email.toLowerCase()
  const pattern = new RegExp(addressPattern(email))
  const escapes = new RegExp(JSON_ESCAPE, 'g')
  return (json) => json.includes(address) && pattern.test(json.replace(escapes, ' '))
}
