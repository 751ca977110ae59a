/**
 * What JSON puts for a character that it escapes. The letter of one would seem to belong to the address behind
 * it, as in `\nann@example.com`: it goes before addresses are looked for. For JavaScript and PostgreSQL.
 */
export const JSON_ESCAPE = String.raw`\\(u[0-9a-f]{4}|.)`

/**
 * A regular expression, for JavaScript and PostgreSQL, that finds an address in text in lower case, and does not
 * find `ann@example.com` in `joann@example.com`, `jo.ann@example.com` or `ann@example.com.au`. What seldom stands
 * in an address and often before one is no part of it: `to='ann@example.com'`.
 */
export function addressPattern(email: string): string {
  const address = email.toLowerCase().replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
  return String.raw`(?<![a-z0-9_%+-][.']?)${address}(?![a-z0-9-]|\.[a-z0-9-])`
}

/** Tells whether JSON, in lower case, names the address. Cheap where it does not. */
export function createAddressFinder(email: string): (json: string) => boolean {
  const address = email.toLowerCase()
  const pattern = new RegExp(addressPattern(email))
  const escapes = new RegExp(JSON_ESCAPE, 'g')
  return (json) => json.includes(address) && pattern.test(json.replace(escapes, ' '))
}
