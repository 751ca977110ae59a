import { randomInt, timingSafeEqual } from 'node:crypto'
import type { HashPool } from './hash-pool.ts'
import { DIGEST_BYTES, formatPasswordHash, parsePasswordHash } from './password-hash.ts'

export interface Passwords {
  /** A hash in Django's format. */
  hash(password: string): Promise<string>
  /**
   * Whether the password belongs to the hash. It takes the same time whether it does or not, and for an
   * absent, unusable or weaker hash: who measures learns nothing.
   *
   * @throws AppError `overloaded` when the machine cannot hash it in time.
   */
  verify(password: string, encoded: string | undefined): Promise<boolean>
  /** True for a hash of fewer iterations than new ones get. */
  isWeak(encoded: string): boolean
}

const SALT_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
/** Django's length: 131 bits. */
const SALT_LENGTH = 22

const generateSalt = () =>
  Array.from({ length: SALT_LENGTH }, () => SALT_ALPHABET[randomInt(SALT_ALPHABET.length)]).join('')

/** PBKDF2-HMAC-SHA256 with a cost of `iterations` for new hashes. */
export function createPasswords(pool: HashPool, iterations: number): Passwords {
  const derive = (password: string, salt: string, rounds: number) => {
    const missing = Math.max(0, iterations - rounds)
    // One task, so that it waits its turn once, as every other does.
    return pool.derive({ password, salt, iterations: rounds, bytes: DIGEST_BYTES, extraIterations: missing })
  }

  return {
    async hash(password) {
      const salt = generateSalt()
      return formatPasswordHash({ iterations, salt, digest: await derive(password, salt, iterations) })
    },

    async verify(password, encoded) {
      const stored = encoded === undefined ? undefined : parsePasswordHash(encoded)
      if (stored === undefined) {
        await derive(password, generateSalt(), iterations)
        return false
      }
      const digest = await derive(password, stored.salt, stored.iterations)
      return timingSafeEqual(digest, stored.digest)
    },

    isWeak(encoded) {
      const stored = parsePasswordHash(encoded)
      return stored !== undefined && stored.iterations < iterations
    },
  }
}
