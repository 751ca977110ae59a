import { pbkdf2, randomInt } from 'node:crypto'
import { promisify } from 'node:util'
import { normalizePassword } from '@tidings/shared/user'

/** Length of a SHA-256 digest. */
export const DIGEST_BYTES = 32

const SALT_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
/** The length that Django uses: 131 bits. */
const SALT_LENGTH = 22

export const generateSalt = () =>
  Array.from({ length: SALT_LENGTH }, () => SALT_ALPHABET[randomInt(SALT_ALPHABET.length)]).join('')

/** The parts of a hash in Django's format: `pbkdf2_sha256$iterations$salt$base64`. */
interface NewHash {
  iterations: number
  /** Not base64: PBKDF2 takes its UTF-8 bytes. */
  salt: string
  digest: Buffer
}

export function formatPasswordHash({ iterations, salt, digest }: NewHash): string {
  return `pbkdf2_sha256$${iterations}$${salt}$${digest.toString('base64')}`
}

/** Hashes one password in this process. The API has a pool of threads instead. */
export async function hashPassword(password: string, iterations: number): Promise<string> {
  const salt = generateSalt()
  const digest = await promisify(pbkdf2)(
    normalizePassword(password),
    salt,
    iterations,
    DIGEST_BYTES,
    'sha256',
  )
  return formatPasswordHash({ iterations, salt, digest })
}
