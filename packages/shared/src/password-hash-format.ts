/** A usable hash as Django writes it: iterations, salt, and 32 bytes in base64. An unusable one starts with `!`. */
export const PASSWORD_HASH_FORMAT = /^pbkdf2_sha256\$(\d{1,9})\$([^$]+)\$([A-Za-z0-9+/]{43}=)$/

/** A stored hash with more iterations could block the service. */
const MAX_ITERATIONS = 10_000_000

/** The iterations of a hash that a login can verify; undefined for every other text, with which nobody logs in. */
export function readIterations(encoded: string): number | undefined {
  const iterations = Number(PASSWORD_HASH_FORMAT.exec(encoded)?.[1] ?? 0)
  return iterations >= 1 && iterations <= MAX_ITERATIONS ? iterations : undefined
}
