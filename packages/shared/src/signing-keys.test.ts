import { createPublicKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { generateSigningKey, parseSigningKeySet, SIGNING_ALGORITHMS } from './signing-keys.ts'

const setOf = (...keys: object[]) => JSON.stringify({ keys })
const { d, y, ...withoutParts } = generateSigningKey('ES256') as Extract<
  ReturnType<typeof generateSigningKey>,
  { kty: 'EC' }
>

describe('a signing key set', () => {
  it.each(SIGNING_ALGORITHMS)('holds generated keys for %s, each with its own id', (alg) => {
    const keys = [generateSigningKey(alg), generateSigningKey(alg)]
    expect(parseSigningKeySet(setOf(...keys))).toEqual({ keys })
    expect(keys[0]?.kid).not.toBe(keys[1]?.kid)
    for (const key of keys) expect(createPublicKey({ key, format: 'jwk' }).type).toBe('public')
  })

  it('takes the algorithm from the type of a key that names none', () => {
    const bare = SIGNING_ALGORITHMS.map((name) => {
      const { alg: _alg, use: _use, ...key } = generateSigningKey(name)
      return key
    })
    const { keys } = parseSigningKeySet(setOf(...bare))
    expect(keys.map(({ alg, use }) => [alg, use])).toEqual([
      ['EdDSA', 'sig'],
      ['ES256', 'sig'],
    ])
  })

  it.each<[string, object]>([
    ['an Ed25519 key that says ES256', { ...generateSigningKey('EdDSA'), alg: 'ES256' }],
    ['a P-256 key that says EdDSA', { ...generateSigningKey('ES256'), alg: 'EdDSA' }],
    ['a P-256 key without y', { ...withoutParts, d }],
    ['a public key', { ...withoutParts, y }],
    ['another curve', { ...generateSigningKey('ES256'), crv: 'P-384' }],
    ['a shared secret', { kty: 'oct', k: 'c2VjcmV0', kid: 'x', alg: 'HS256' }],
  ])('refuses %s, and shows nothing of it', (_what, key) => {
    expect(() => parseSigningKeySet(setOf(key))).toThrow(/is not a usable JWK set of Ed25519 or P-256 keys/)
    expect(() => parseSigningKeySet(setOf(key))).not.toThrow(d)
  })
})
