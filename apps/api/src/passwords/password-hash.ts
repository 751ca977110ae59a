/** The parts of a hash in Django's format: `pbkdf2_sha256$iterations$salt$base64`. */
interface PasswordHash {
  iterations: number
  /** Not base64: PBKDF2 takes its UTF-8 bytes. */
  salt: string
  digest: Buffer
}

/** Length of a SHA-256 digest. */
export const DIGEST_BYTES = 32
/** A stored hash with more iterations could block the service. */
const MAX_ITERATIONS = 10_000_000

const FORMAT = /^pbkdf2_sha256\$(\d{1,9})\$([^$]+)\$([A-Za-z0-9+/]{43}=)$/

/** Returns undefined for an unusable password (`!…`) and for every other algorithm: they never log in. */
export function parsePasswordHash(encoded: string): PasswordHash | undefined {
  const match = FORMAT.exec(encoded)
  if (match === null) return undefined
  const [, iterationText = '', salt = '', digestText = ''] = match
  const iterations = Number(iterationText)
  if (iterations < 1 || iterations > MAX_ITERATIONS) return undefined
  return { iterations, salt, digest: Buffer.from(digestText, 'base64') }
}

export function formatPasswordHash({ iterations, salt, digest }: PasswordHash): string {
  return `pbkdf2_sha256$${iterations}$${salt}$${digest.toString('base64')}`
}
