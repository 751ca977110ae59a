import {
  isWithinLimits,
  type KeyDerivation,
  type PasswordAlgorithm,
  type PasswordHash,
} from './password-hash.ts'

/** Why nobody can log in with a stored password. */
export const UNUSABLE_REASONS = [
  /** Django marks it with `!`: the user has no password. */
  'not_set',
  /** A hash of an algorithm or a version that is not verified here. */
  'unsupported',
  /** The text does not have the form of its algorithm. */
  'damaged',
  /** Beyond PASSWORD_HASH_LIMITS. */
  'over_limit',
] as const
export type UnusableReason = (typeof UNUSABLE_REASONS)[number]

export type StoredPassword = { usable: true; hash: PasswordHash } | { usable: false; reason: UnusableReason }

/** The readers of what follows `algorithm$`, in the formats of Django's hashers (django/contrib/auth/hashers.py). */
const READERS: Record<PasswordAlgorithm, (rest: string) => PasswordHash | UnusableReason> = {
  pbkdf2_sha256: (rest) => readPbkdf2('pbkdf2_sha256', 32, rest),
  pbkdf2_sha1: (rest) => readPbkdf2('pbkdf2_sha1', 20, rest),
  argon2: readArgon2,
  bcrypt: (rest) => readBcrypt('bcrypt', rest),
  bcrypt_sha256: (rest) => readBcrypt('bcrypt_sha256', rest),
  scrypt: readScrypt,
}

/** Reads a stored password: a hash as Django or this service writes it. */
export function readStoredPassword(encoded: string): StoredPassword {
  if (encoded.startsWith('!')) return { usable: false, reason: 'not_set' }
  const [, name = '', rest = ''] = /^([a-z0-9_]+)\$(.*)$/s.exec(encoded) ?? []
  if (name === '') return { usable: false, reason: 'damaged' }
  if (!isKnown(name)) return { usable: false, reason: 'unsupported' }
  const read = READERS[name](rest)
  if (typeof read === 'string') return { usable: false, reason: read }
  return isWithinLimits(read.derivation)
    ? { usable: true, hash: read }
    : { usable: false, reason: 'over_limit' }
}

const isKnown = (name: string): name is PasswordAlgorithm => Object.hasOwn(READERS, name)

/** `iterations$salt$base64` */
function readPbkdf2(
  algorithm: 'pbkdf2_sha256' | 'pbkdf2_sha1',
  digestBytes: number,
  rest: string,
): PasswordHash | UnusableReason {
  const [, iterations, salt = '', digest = ''] = /^(\d+)\$([^$]+)\$([A-Za-z0-9+/]+=*)$/.exec(rest) ?? []
  return finish({ algorithm, iterations: Number(iterations), salt }, digest, digestBytes, [
    Number(iterations),
  ])
}

/** `argon2id$v=19$m=102400,t=2,p=8$salt$base64`, base64 without padding. */
function readArgon2(rest: string): PasswordHash | UnusableReason {
  const [, variant, version, m, t, p, salt = '', digest = ''] =
    /^(argon2id|argon2i|argon2d)\$(?:v=(\d+)\$)?m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(
      rest,
    ) ?? []
  if (variant !== 'argon2id' && variant !== 'argon2i' && variant !== 'argon2d') return 'damaged'
  // Version 1.0 of Argon2 wrote no version. Node computes 1.3 only.
  if (version !== '19') return 'unsupported'
  const [memoryKib, passes, parallelism] = [Number(m), Number(t), Number(p)]
  const saltBytes = Buffer.from(salt, 'base64')
  // Argon2 itself needs that much memory and salt. A short digest would be easy to guess.
  if (memoryKib < 8 * parallelism || saltBytes.length < 8) return 'damaged'
  const derivation: KeyDerivation = {
    algorithm: 'argon2',
    variant,
    memoryKib,
    passes,
    parallelism,
    salt: saltBytes,
  }
  const digestBytes = Math.min(64, Math.max(16, Math.floor((digest.length * 3) / 4)))
  return finish(derivation, padBase64(digest), digestBytes, [memoryKib, passes, parallelism])
}

/** `$2b$12$`, 22 characters of salt and 31 of digest. */
function readBcrypt(algorithm: 'bcrypt' | 'bcrypt_sha256', rest: string): PasswordHash | UnusableReason {
  const [, setting, cost, digest = ''] =
    /^(\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{22})([./A-Za-z0-9]{31})$/.exec(rest) ?? []
  if (setting === undefined || Number(cost) < 4 || Number(cost) > 31) return 'damaged'
  // bcrypt has an alphabet of its own, and the text is compared as it is.
  return { derivation: { algorithm, cost: Number(cost), setting }, digest: Buffer.from(digest) }
}

/** `work factor$salt$block size$parallelism$base64` */
function readScrypt(rest: string): PasswordHash | UnusableReason {
  const [, n, salt = '', r, p, digest = ''] =
    /^(\d+)\$([^$]+)\$(\d+)\$(\d+)\$([A-Za-z0-9+/]+=*)$/.exec(rest) ?? []
  const [cost, blockSize, parallelism] = [Number(n), Number(r), Number(p)]
  // scrypt is defined for such N only, and Node.js throws otherwise: N is a power of two below 2^(128 · r / 8).
  const power = Math.log2(cost)
  if (cost < 2 || !Number.isInteger(power) || power >= 16 * blockSize) return 'damaged'
  const derivation: KeyDerivation = { algorithm: 'scrypt', cost, blockSize, parallelism, salt }
  return finish(derivation, digest, 64, [cost, blockSize, parallelism])
}

const padBase64 = (text: string) => text.padEnd(Math.ceil(text.length / 4) * 4, '=')

/** @param costs must be positive. A text that did not match gives NaN. */
function finish(
  derivation: KeyDerivation,
  digestText: string,
  digestBytes: number,
  costs: readonly number[],
): PasswordHash | UnusableReason {
  const digest = Buffer.from(digestText, 'base64')
  const isWhole = digest.length === digestBytes && digest.toString('base64') === digestText
  return isWhole && costs.every((cost) => cost >= 1) ? { derivation, digest } : 'damaged'
}
