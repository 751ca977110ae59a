import { pbkdf2Sync } from 'node:crypto'
import { useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCountingPool } from '../testing/counting-pool.ts'
import {
  DJANGO_HASHES,
  DJANGO_UNUSABLE_PASSWORD,
  LONG_PASSWORD_HASHES,
  OTHER_DJANGO_HASHES,
} from '../testing/django-hashes.ts'
import { HashPool } from './hash-pool.ts'
import { createPasswords } from './passwords.ts'

describe('a password hash', () => {
  const releaser = useReleaser()
  const pool = releaser.add(new HashPool({ threads: 2, maxWaitMs: 15_000 }), (opened) => opened.close())
  const passwords = createPasswords(pool, 2_000)

  it('of every Django release is understood', async () => {
    const matches = DJANGO_HASHES.map(async ({ release, password, hash }) => [
      release,
      await passwords.verify(password, hash),
    ])
    expect(await Promise.all(matches)).toEqual(DJANGO_HASHES.map(({ release }) => [release, true]))
  })

  it.each(OTHER_DJANGO_HASHES)('of $source is understood', async ({ password, hash }) => {
    expect(await passwords.verify(password, hash)).toBe(true)
    expect(await passwords.verify(`z${password}`, hash)).toBe(false)
    expect(passwords.needsRehash(hash)).toBe(true)
  })

  it('of bcrypt_sha256 depends on every byte of a long password', async () => {
    const [one, other] = LONG_PASSWORD_HASHES
    expect(await passwords.verify(one.password, one.hash)).toBe(true)
    expect(await passwords.verify(other.password, one.hash)).toBe(false)
    expect(await passwords.verify(other.password, other.hash)).toBe(true)
  })

  it('of another algorithm matches the password as it was typed in Django', async () => {
    const typed = 'lètmein'.normalize('NFD')
    const hash = OTHER_DJANGO_HASHES[0].hash.replace(/[^$]+$/, '')
    const digest = pbkdf2Sync(typed, 'seasalt2', 390_000, 20, 'sha1').toString('base64')
    expect(await passwords.verify(typed, hash + digest)).toBe(true)
    expect(await passwords.verify(typed.normalize('NFC'), hash + digest)).toBe(false)
  })

  it('beyond the limits costs no more than a current one', async () => {
    const hostile = [
      'pbkdf2_sha1$4294967296$salt$aDapRanzW8aHTz97v2TcfHzWD+I=',
      'argon2$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q',
      'argon2$argon2id$v=19$m=8,t=4294967295,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q',
      'bcrypt$$2b$31$abcdefghijklmnopqrstuupd4kvGe1RE7cUAJBlAgNLjj8dnLUqIu',
      'bcrypt_sha256$$2b$15$abcdefghijklmnopqrstuuVrQ4zCyEDfwKOXCre954in7jn/y/.ua',
      OTHER_DJANGO_HASHES[12].hash.replace('$16384$', '$1073741824$'),
      OTHER_DJANGO_HASHES[12].hash.replace('$8$5$', '$8$4000000$'),
    ]
    const counting = createCountingPool()
    const current = createPasswords(counting, 600_000)
    for (const hash of hostile) {
      expect(await current.verify('secret', hash), hash).toBe(false)
      expect(counting.takeWork(), hash).toEqual({ tasks: 1, iterations: 600_000 })
      expect(current.needsRehash(hash)).toBe(false)
    }
  })

  it('of another algorithm that is cheap takes about as long to refuse as an unknown user', async () => {
    const slower = createPasswords(pool, 200_000)
    const hashes = [
      undefined,
      OTHER_DJANGO_HASHES[3].hash,
      OTHER_DJANGO_HASHES[7].hash,
      OTHER_DJANGO_HASHES[1].hash,
    ]
    const times = hashes.map((): number[] => [])
    // In turn, so that other work of the machine delays all of them alike.
    for (let round = 0; round < 9; round++)
      for (const [n, hash] of hashes.entries()) {
        const startedMs = performance.now()
        expect(await slower.verify('wrong', hash)).toBe(false)
        times[n]?.push(performance.now() - startedMs)
      }
    const [unknownMs = 0, ...others] = times.map((values) => values.sort((a, b) => a - b)[4] ?? 0)
    // Wide, because other work of the machine is in these times. Without the extra work, the factor is below 0.1.
    for (const ms of others) {
      expect(ms).toBeGreaterThan(unknownMs * 0.4)
      expect(ms).toBeLessThan(unknownMs * 2.5)
    }
  })

  it.each([
    DJANGO_UNUSABLE_PASSWORD,
    '!',
    '',
    'plain text',
    'md5$salt$digest',
    'argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA',
    'argon2$argon2i$m=8,t=1,p=1$c29tZXNhbHQ$gwQOXSNhxiOxPOA0+PY10P9QFO4NAYysnqRt1GSQLE55m+2GYDt9FEjPMHhP2Cuf0nOEXXMocVrsJAtNSsKyfg',
    'bcrypt_sha256$$2b$12$saltsaltsaltsaltsaltsuhash',
    'scrypt$16384$salt$8$1$aGFzaA==',
    'pbkdf2_sha256$0$salt$LgapT95uenCrtWDZBvBJSHfH8PSXiOLUSYO72gWk8w4=',
    'pbkdf2_sha256$999999999$salt$LgapT95uenCrtWDZBvBJSHfH8PSXiOLUSYO72gWk8w4=',
    'pbkdf2_sha256$1000$salt$',
    'pbkdf2_sha1$1000$salt$LgapT95uenCrtWDZBvBJSHfH8PSXiOLUSYO72gWk8w4=',
  ])('that is unusable never matches: %j', async (hash) => {
    for (const password of ['', '!', hash, 'plain text'])
      expect(await passwords.verify(password, hash)).toBe(false)
  })

  it("has Django's format: a raw-text salt of 22 characters, and padded base64", async () => {
    const hash = await passwords.hash('ünïcode 🐧')
    const [algorithm, iterations, salt = '', digest] = hash.split('$')
    expect([algorithm, iterations, salt.length]).toEqual(['pbkdf2_sha256', '2000', 22])
    expect(digest).toBe(pbkdf2Sync('ünïcode 🐧', salt, 2_000, 32, 'sha256').toString('base64'))
    expect(await passwords.hash('ünïcode 🐧')).not.toBe(hash)
  })

  it('matches its password and no other', async () => {
    const cheap = createPasswords(pool, 1)
    const text = fc.string({ unit: 'grapheme' })
    const property = fc.asyncProperty(text, text, async (one, other) => {
      const hash = await cheap.hash(one)
      expect(await cheap.verify(one, hash)).toBe(true)
      expect(await cheap.verify(other, hash)).toBe(one.normalize() === other.normalize())
    })
    await fc.assert(property, { numRuns: 50 })
  })

  it('matches composed and decomposed accents alike, and in a hash of Django the form that was hashed', async () => {
    const [composed, decomposed] = ['Pässwörter'.normalize('NFC'), 'Pässwörter'.normalize('NFD')]
    for (const set of [composed, decomposed]) {
      const hash = await passwords.hash(set)
      expect(await passwords.verify(composed, hash)).toBe(true)
      expect(await passwords.verify(decomposed, hash)).toBe(true)
    }
    const digest = pbkdf2Sync(decomposed, 'salt', 2_000, 32, 'sha256').toString('base64')
    expect(await passwords.verify(decomposed, `pbkdf2_sha256$2000$salt$${digest}`)).toBe(true)
  })

  it('takes the same work to refuse a decomposed password, known or not', async () => {
    const counting = createCountingPool()
    const current = createPasswords(counting, 600_000)
    const other = Buffer.alloc(32, 1).toString('base64')
    for (const hash of [undefined, '!', `pbkdf2_sha256$260000$salt$${other}`]) {
      expect(await current.verify('Café'.normalize('NFD'), hash)).toBe(false)
      expect(counting.takeWork()).toEqual({ tasks: 2, iterations: 1_200_000 })
    }
  })

  it('takes the same work to verify, absent or present, unusable, weaker or equal, right or wrong', async () => {
    const counting = createCountingPool()
    const current = createPasswords(counting, 600_000)
    const zeroes = Buffer.alloc(32).toString('base64')
    const hashes = [
      undefined,
      DJANGO_UNUSABLE_PASSWORD,
      `pbkdf2_sha256$260000$salt$${zeroes}`,
      `pbkdf2_sha256$600000$salt$${zeroes}`,
      DJANGO_HASHES[1].hash,
      ...OTHER_DJANGO_HASHES.map(({ hash }) => hash),
    ]
    for (const hash of hashes) {
      await current.verify('any password', hash)
      // One task: a second one would wait for a thread again while the pool is busy.
      expect(counting.takeWork()).toEqual({ tasks: 1, iterations: 600_000 })
    }
  })
})
