import { timingSafeEqual } from 'node:crypto'
import { DIGEST_BYTES, formatPasswordHash, generateSalt } from '@tidings/accounts/passwords/new-hash'
import type { PasswordHash } from '@tidings/shared/password-hash'
import { readStoredPassword } from '@tidings/shared/password-hash-format'
import { normalizePassword } from '@tidings/shared/user'
import type { HashPool } from './hash-pool.ts'

export interface Passwords {
  /** Returns a hash of the normalized password, in Django's format `pbkdf2_sha256$iterations$salt$base64`. */
  hash(password: string): Promise<string>
  /**
   * Tells whether the password matches the hash, of any algorithm that is understood. It tries the normalized password
   * and then the password as typed, which Django hashes. An absent, unusable or cheaper hash takes as long as a current
   * one that does not match, so that timing reveals nothing.
   *
   * @throws AppError `overloaded` when no hashing thread becomes free in time.
   */
  verify(password: string, encoded: string | undefined): Promise<boolean>
  /** Tells whether a usable hash has another algorithm, or fewer iterations than new hashes get. */
  needsRehash(encoded: string): boolean
}

const readHash = (encoded: string): PasswordHash | undefined => {
  const stored = readStoredPassword(encoded)
  return stored.usable ? stored.hash : undefined
}

/** Hashes with PBKDF2-HMAC-SHA256. New hashes get this number of iterations. */
export function createPasswords(pool: Pick<HashPool, 'derive'>, iterations: number): Passwords {
  const newDerivation = () => ({ algorithm: 'pbkdf2_sha256' as const, iterations, salt: generateSalt() })

  return {
    async hash(password) {
      const derivation = newDerivation()
      const task = { password: normalizePassword(password), derivation, bytes: DIGEST_BYTES }
      const digest = await pool.derive(task)
      return formatPasswordHash({ iterations, salt: derivation.salt, digest })
    },

    async verify(password, encoded) {
      const stored = encoded === undefined ? undefined : readHash(encoded)
      const derivation = stored?.derivation ?? newDerivation()
      const bytes = stored?.digest.length ?? DIGEST_BYTES
      for (const form of new Set([normalizePassword(password), password])) {
        // One task with the missing iterations: two tasks would wait in the pool's queue twice.
        const digest = await pool.derive({ password: form, derivation, bytes, minIterations: iterations })
        if (stored !== undefined && timingSafeEqual(digest, stored.digest)) return true
      }
      return false
    },

    needsRehash(encoded) {
      const derivation = readHash(encoded)?.derivation
      if (derivation === undefined) return false
      return derivation.algorithm !== 'pbkdf2_sha256' || derivation.iterations < iterations
    },
  }
}
