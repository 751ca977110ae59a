/** How a stored password was turned into its digest. */
export type KeyDerivation =
  | {
      algorithm: 'pbkdf2_sha256' | 'pbkdf2_sha1'
      iterations: number
      /** Not base64: PBKDF2 takes its UTF-8 bytes. */
      salt: string
    }
  | {
      algorithm: 'argon2'
      variant: 'argon2id' | 'argon2i' | 'argon2d'
      memoryKib: number
      passes: number
      parallelism: number
      salt: Uint8Array
    }
  | {
      algorithm: 'bcrypt' | 'bcrypt_sha256'
      cost: number
      /** Version, cost and salt as bcrypt writes them: `$2b$12$` and 22 characters. */
      setting: string
    }
  | {
      algorithm: 'scrypt'
      /** N of RFC 7914, a power of two. */
      cost: number
      /** r of RFC 7914. */
      blockSize: number
      /** p of RFC 7914. */
      parallelism: number
      /** Not base64: scrypt takes its UTF-8 bytes. */
      salt: string
    }

export type PasswordAlgorithm = KeyDerivation['algorithm']
export const PASSWORD_ALGORITHMS = [
  'pbkdf2_sha256',
  'pbkdf2_sha1',
  'argon2',
  'bcrypt',
  'bcrypt_sha256',
  'scrypt',
] as const satisfies readonly PasswordAlgorithm[]

/** A stored hash that a login can verify. */
export interface PasswordHash {
  derivation: KeyDerivation
  digest: Buffer
}

/**
 * The most that verifying a stored hash may cost. A hash beyond it is unusable: it could keep the service busy, or take
 * its memory. At each limit a verification takes about a second of one core.
 */
export const PASSWORD_HASH_LIMITS = {
  pbkdf2Iterations: 10_000_000,
  bcryptCost: 14,
  /** Of Argon2 and scrypt: each hashing thread may take this much. */
  memoryKib: 131_072,
  /** Of Argon2 and scrypt. Argon2 starts this many threads. */
  parallelism: 16,
  /** Memory times passes. */
  argon2KibPasses: 1_048_576,
  /** r of RFC 7914. */
  scryptBlockSize: 32,
  /** N · r · p of RFC 7914. */
  scryptBlocks: 4_194_304,
} as const

export function isWithinLimits(derivation: KeyDerivation): boolean {
  const limits = PASSWORD_HASH_LIMITS
  switch (derivation.algorithm) {
    case 'pbkdf2_sha256':
    case 'pbkdf2_sha1':
      return derivation.iterations <= limits.pbkdf2Iterations
    case 'bcrypt':
    case 'bcrypt_sha256':
      return derivation.cost <= limits.bcryptCost
    case 'argon2': {
      const { memoryKib, passes, parallelism } = derivation
      return (
        memoryKib <= limits.memoryKib &&
        parallelism <= limits.parallelism &&
        memoryKib * passes <= limits.argon2KibPasses
      )
    }
    case 'scrypt': {
      const { cost, blockSize, parallelism } = derivation
      return (
        scryptMemoryKib(cost, blockSize) <= limits.memoryKib &&
        blockSize <= limits.scryptBlockSize &&
        parallelism <= limits.parallelism &&
        cost * blockSize * parallelism <= limits.scryptBlocks
      )
    }
  }
}

/** 128 · N · r bytes (RFC 7914). */
const scryptMemoryKib = (cost: number, blockSize: number) => (128 * cost * blockSize) / 1024

/**
 * Estimates how many iterations of PBKDF2-SHA256 take as long as a derivation. The factors are of a processor with
 * instructions for SHA-256 (AMD EPYC, 2026-11-29), where PBKDF2 is fastest and the estimate therefore highest.
 */
export function estimateIterations(derivation: KeyDerivation): number {
  switch (derivation.algorithm) {
    case 'pbkdf2_sha256':
    case 'pbkdf2_sha1':
      return derivation.iterations
    case 'bcrypt':
    case 'bcrypt_sha256':
      return 2 ** derivation.cost * 600
    case 'argon2':
      return derivation.memoryKib * derivation.passes * 8
    case 'scrypt':
      return derivation.cost * derivation.blockSize * derivation.parallelism * 2
  }
}
