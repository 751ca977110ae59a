import { PASSWORD_HASH_FORMAT, readIterations } from '@tidings/shared/password-hash-format'

/** The parts of a hash in Django's format: `pbkdf2_sha256$iterations$salt$base64`. */
interface PasswordHash {
  iterations: number
  /** Not base64: PBKDF2 takes its UTF-8 bytes. */
  salt: string
  digest: Buffer
}

/** Length of a SHA-256 digest. */
export const DIGEST_BYTES = 32

/** Returns undefined for an unusable password (`!…`) and for every other algorithm: they never log in. */
export function parsePasswordHash(encoded: string): PasswordHash | undefined {
  const iterations = readIterations(encoded)
  if (iterations === undefined) return undefined
  const [, , salt = '', digestText = ''] = PASSWORD_HASH_FORMAT.exec(encoded) ?? []
  return { iterations, salt, digest: Buffer.from(digestText, 'base64') }
}

export function formatPasswordHash({ iterations, salt, digest }: PasswordHash): string {
  return `pbkdf2_sha256$${iterations}$${salt}$${digest.toString('base64')}`
}
