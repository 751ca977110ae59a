/** The parts of a hash in Django's format: pbkdf2_sha256$iterations$salt$base64. */
export interface PasswordHash {
  iterations: number
  /** Used as it is written, as UTF-8 bytes; it is not base64. */
  salt: string
  digest: Buffer
}

/** Bytes of SHA-256. */
export const DIGEST_BYTES = 32
/** Beyond this a stored hash would be a way to stop the service. */
const MAX_ITERATIONS = 10_000_000

const FORMAT = /^pbkdf2_sha256\$(\d{1,9})\$([^$]+)\$([A-Za-z0-9+/]{43}=)$/

/** Undefined for what never logs in: unusable passwords (`!…`) and other algorithms. */
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
