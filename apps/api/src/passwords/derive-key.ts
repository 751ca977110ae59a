import { argon2Sync, createHash, pbkdf2Sync, scryptSync } from 'node:crypto'
import { type KeyDerivation, PASSWORD_HASH_LIMITS } from '@tidings/shared/password-hash'
import bcrypt from 'bcryptjs'

/** Version, cost and salt of a bcrypt hash: `$2b$12$` and 22 characters. The digest follows. */
const BCRYPT_SETTING_LENGTH = 29
/** OpenSSL needs a little more than the main array. */
const SCRYPT_MAX_BYTES = (PASSWORD_HASH_LIMITS.memoryKib + 1_024) * 1_024

/**
 * Derives the digest of a password. This blocks the thread.
 *
 * @param bytes length of the digest. bcrypt gives 31 characters, whatever this says.
 */
export function deriveKey(password: string, derivation: KeyDerivation, bytes: number): Buffer {
  switch (derivation.algorithm) {
    case 'pbkdf2_sha256':
      return pbkdf2Sync(password, derivation.salt, derivation.iterations, bytes, 'sha256')
    case 'pbkdf2_sha1':
      return pbkdf2Sync(password, derivation.salt, derivation.iterations, bytes, 'sha1')
    case 'argon2':
      return argon2Sync(derivation.variant, {
        message: password,
        nonce: derivation.salt,
        memory: derivation.memoryKib,
        passes: derivation.passes,
        parallelism: derivation.parallelism,
        tagLength: bytes,
      })
    case 'bcrypt':
      return deriveBcrypt(password, derivation.setting)
    case 'bcrypt_sha256':
      // Django hashes the hex digest: bcrypt reads 72 bytes at most.
      return deriveBcrypt(createHash('sha256').update(password).digest('hex'), derivation.setting)
    case 'scrypt': {
      const { cost, blockSize, parallelism, salt } = derivation
      const options = { cost, blockSize, parallelization: parallelism, maxmem: SCRYPT_MAX_BYTES }
      return scryptSync(password, salt, bytes, options)
    }
  }
}

const deriveBcrypt = (text: string, setting: string) =>
  Buffer.from(bcrypt.hashSync(text, setting).slice(BCRYPT_SETTING_LENGTH))
