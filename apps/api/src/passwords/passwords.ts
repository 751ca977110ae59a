import { timingSafeEqual } from 'node:crypto'
import { DIGEST_BYTES, formatPasswordHash, generateSalt } from '@tidings/accounts/passwords/new-hash'
import { normalizePassword } from '@tidings/shared/user'
import type { HashPool } from './hash-pool.ts'
import { parsePasswordHash } from './password-hash.ts'

export interface Passwords {
  /** Returns a hash of the normalized password, in Django's format. */
  hash(password: string): Promise<string>
  /**
   * Tells whether the password matches the hash. It tries the normalized password and then the password as typed,
   * which Django hashes. An absent, unusable or weaker hash takes as much work as a current one that does not match,
   * so that timing reveals nothing.
   *
   * @throws AppError `overloaded` when no hashing thread becomes free in time.
   */
  verify(password: string, encoded: string | undefined): Promise<boolean>
  /** Tells whether a hash has fewer iterations than new hashes get. */
  isWeak(encoded: string): boolean
}

/** Hashes with PBKDF2-HMAC-SHA256. New hashes get this number of iterations. */
export function createPasswords(pool: Pick<HashPool, 'derive'>, iterations: number): Passwords {
  // One task with the missing iterations: two tasks would wait in the pool's queue twice.
  const derive = (password: string, salt: string, ownIterations: number) =>
    pool.derive({
      password,
      salt,
      iterations: ownIterations,
      bytes: DIGEST_BYTES,
      extraIterations: Math.max(0, iterations - ownIterations),
    })

  return {
    async hash(password) {
      const salt = generateSalt()
      const digest = await derive(normalizePassword(password), salt, iterations)
      return formatPasswordHash({ iterations, salt, digest })
    },

    async verify(password, encoded) {
      const stored = encoded === undefined ? undefined : parsePasswordHash(encoded)
      for (const form of new Set([normalizePassword(password), password])) {
        const digest = await derive(form, stored?.salt ?? generateSalt(), stored?.iterations ?? iterations)
        if (stored !== undefined && timingSafeEqual(digest, stored.digest)) return true
      }
      return false
    },

    isWeak(encoded) {
      const stored = parsePasswordHash(encoded)
      return stored !== undefined && stored.iterations < iterations
    },
  }
}
