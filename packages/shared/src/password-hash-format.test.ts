import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { estimateIterations, isWithinLimits, PASSWORD_ALGORITHMS } from './password-hash.ts'
import { readStoredPassword, UNUSABLE_REASONS } from './password-hash-format.ts'

const base64 = (bytes: number) => Buffer.alloc(bytes, 7).toString('base64')
const unpadded = (bytes: number) => base64(bytes).replace(/=+$/, '')
const BCRYPT_TAIL = `${'a'.repeat(21)}u${'b'.repeat(31)}`
const SALT = unpadded(16)
const scrypt = (n: number, r: number, p: number) => `scrypt$${n}$salt$${r}$${p}$${base64(64)}`
const argon2 = (m: number, t: number, p: number) =>
  `argon2$argon2id$v=19$m=${m},t=${t},p=${p}$${SALT}$${unpadded(32)}`
const pbkdf2 = (iterations: number) => `pbkdf2_sha256$${iterations}$salt$${base64(32)}`

const algorithmOf = (encoded: string) => {
  const stored = readStoredPassword(encoded)
  return stored.usable ? stored.hash.derivation.algorithm : stored.reason
}

describe('a stored password', () => {
  it.each<[string, string]>([
    ['pbkdf2_sha256', pbkdf2(10_000_000)],
    ['pbkdf2_sha1', `pbkdf2_sha1$1$salt$${base64(20)}`],
    ['argon2', argon2(131_072, 8, 16)],
    ['argon2', argon2(8, 1, 1)],
    ['bcrypt', `bcrypt$$2b$14$${BCRYPT_TAIL}`],
    ['bcrypt_sha256', `bcrypt_sha256$$2y$04$${BCRYPT_TAIL}`],
    ['scrypt', scrypt(131_072, 8, 4)],
    ['scrypt', scrypt(32_768, 1, 1)],
    ['not_set', '!'],
    ['not_set', '!SK2vTTNNg2Kpl1UM3MbLS5BXQR0MR5TbhWgPKpRZ'],
    ['unsupported', 'md5$salt$5f4dcc3b5aa765d61d8327deb882cf99'],
    ['unsupported', 'unsalted_sha1$$6d138ca3ae545631b3abd71a4f076ce759c5700b'],
    ['unsupported', '__proto__$1$salt$x'],
    ['unsupported', `argon2$argon2i$m=8,t=1,p=1$${SALT}$${unpadded(32)}`],
    ['unsupported', `argon2$argon2i$v=16$m=8,t=1,p=1$${SALT}$${unpadded(32)}`],
    ['damaged', ''],
    ['damaged', 'plain text'],
    ['damaged', '5f4dcc3b5aa765d61d8327deb882cf99'],
    ['damaged', 'pbkdf2_sha256$1000$salt$'],
    ['damaged', pbkdf2(0)],
    ['damaged', `pbkdf2_sha256$1000$salt$${base64(20)}`],
    ['damaged', `pbkdf2_sha256$1000$$${base64(32)}`],
    ['damaged', `pbkdf2_sha256$1000$salt$${unpadded(32)}`],
    ['damaged', `pbkdf2_sha1$1000$salt$${base64(32)}`],
    ['damaged', 'argon2$x'],
    ['damaged', `argon2$argon2id$v=19$m=64,t=1,p=16$${SALT}$${unpadded(32)}`],
    ['damaged', `argon2$argon2id$v=19$m=64,t=0,p=1$${SALT}$${unpadded(32)}`],
    ['damaged', `argon2$argon2id$v=19$m=64,t=1,p=1$${unpadded(4)}$${unpadded(32)}`],
    ['damaged', `argon2$argon2id$v=19$m=64,t=1,p=1$${SALT}$${unpadded(8)}`],
    ['damaged', `argon2$argon2id$v=19$m=64,t=1,p=1$${SALT}$${unpadded(300)}`],
    ['damaged', `bcrypt$$2b$12$${BCRYPT_TAIL}x`],
    ['damaged', `bcrypt$$2x$12$${BCRYPT_TAIL}`],
    ['damaged', `bcrypt$$2b$03$${BCRYPT_TAIL}`],
    ['damaged', `bcrypt$$2b$32$${BCRYPT_TAIL}`],
    ['damaged', `bcrypt_sha256$xyz$2a$06$${BCRYPT_TAIL}`],
    ['damaged', scrypt(10_000, 8, 1)],
    ['damaged', scrypt(1, 8, 1)],
    ['damaged', scrypt(65_536, 1, 1)],
    ['damaged', scrypt(16_384, 0, 1)],
    ['over_limit', pbkdf2(10_000_001)],
    ['over_limit', pbkdf2(2 ** 31)],
    ['over_limit', `pbkdf2_sha1$${'9'.repeat(400)}$salt$${base64(20)}`],
    ['over_limit', argon2(4 * 1024 * 1024, 1, 1)],
    ['over_limit', argon2(131_073, 1, 1)],
    ['over_limit', argon2(131_072, 9, 1)],
    ['over_limit', argon2(1_024, 1, 17)],
    ['over_limit', `bcrypt$$2b$15$${BCRYPT_TAIL}`],
    ['over_limit', `bcrypt_sha256$$2b$31$${BCRYPT_TAIL}`],
    ['over_limit', scrypt(262_144, 8, 1)],
    ['over_limit', scrypt(131_072, 8, 5)],
    ['over_limit', scrypt(2, 33, 1)],
    ['over_limit', scrypt(2, 8, 17)],
  ])('is %s: %s', (expected, encoded) => {
    expect(algorithmOf(encoded)).toBe(expected)
  })

  it('never throws, and is usable within the limits only, whatever the text', () => {
    const number = fc.oneof(fc.nat(), fc.integer({ min: 0, max: 40 }), fc.maxSafeNat())
    const encoded = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.tuple(fc.constantFrom(...PASSWORD_ALGORITHMS), fc.string()).map(([name, rest]) => `${name}$${rest}`),
      number.map(pbkdf2),
      fc.tuple(number, number, number).map((costs) => argon2(...costs)),
      fc.tuple(fc.nat(40), number, number).map(([power, r, p]) => scrypt(2 ** power, r, p)),
      fc.nat(99).map((cost) => `bcrypt$$2b$${String(cost).padStart(2, '0')}$${BCRYPT_TAIL}`),
    )
    const property = fc.property(encoded, (text) => {
      const stored = readStoredPassword(text)
      if (!stored.usable) return UNUSABLE_REASONS.includes(stored.reason)
      const { derivation } = stored.hash
      return isWithinLimits(derivation) && estimateIterations(derivation) <= 10_000_000
    })
    fc.assert(property, { numRuns: 2_000 })
  })
})
