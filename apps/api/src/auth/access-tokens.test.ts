import { createHmac, createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { generateSigningKey, SIGNING_ALGORITHMS, type SigningKey } from '@tidings/shared/signing-keys'
import { useReleaser } from '@tidings/stack/testing/test-context'
import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  importJWK,
  type JWK,
  type JWTPayload,
  jwtVerify,
  SignJWT,
} from 'jose'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { call, register, type TestUser } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'
import { type AccessTokenOptions, createAccessTokens } from './access-tokens.ts'
import { importSigningKeys } from './signing-keys.ts'

const LEGACY_SECRET = 'the secret of the django service'
const key = generateSigningKey()
const older = generateSigningKey('ES256')

const releaser = useReleaser()
let api: TestApi
let user: TestUser
beforeAll(async () => {
  api = await startTestApi(releaser, {
    JWT_KEYS: JSON.stringify({ keys: [key, older] }),
    LEGACY_HS256_SECRET: LEGACY_SECRET,
  })
  user = await register(api.apiUrl)
})

/** Tokens of this key set, without an API. */
const openTokens = async (options: Partial<AccessTokenOptions> = {}) =>
  createAccessTokens({
    keys: await importSigningKeys(JSON.stringify({ keys: [key] })),
    issuer: 'tidings',
    audience: 'tidings',
    ttlSeconds: 60,
    ...options,
  })

const readMe = (authorization: string) =>
  call(`${api.apiUrl}/api/v1/users/me/`, { headers: { authorization } })

interface Forgery {
  header?: Record<string, unknown>
  claims?: JWTPayload
  signer?: SigningKey
}

/** Signs the user's own token again, with changes. */
async function forge({ header = {}, claims = {}, signer = key }: Forgery): Promise<string> {
  const token = new SignJWT({ ...decodeJwt(user.token), ...claims })
  token.setProtectedHeader({ alg: signer.alg, typ: 'at+jwt', kid: signer.kid, ...header })
  const crit = header.crit === undefined ? undefined : { crit: { b64: true, 'urn:example': true } }
  return token.sign(await importJWK({ ...signer }), crit)
}

const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Signs by hand what no library would sign. */
function forgeHmac(secret: string | Buffer, header: object, claims: object): string {
  const text = `${segment(header)}.${segment(claims)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

/** Signs with a key, and names whatever the header says: a library refuses to. */
function forgeSignature(signer: SigningKey, header: object): string {
  const text = `${segment({ typ: 'at+jwt', ...header })}.${segment(decodeJwt(user.token))}`
  const privateKey = createPrivateKey({ key: { ...signer }, format: 'jwk' })
  const options = { key: privateKey, dsaEncoding: 'ieee-p1363' as const }
  return `${text}.${sign(signer.alg === 'EdDSA' ? null : 'sha256', Buffer.from(text), options).toString('base64url')}`
}

/** Sets the clock of this process forward by `seconds`, or back, while `run` is running. */
async function atAnotherTime(seconds: number, run: () => Promise<unknown>) {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + seconds * 1000 })
  await Promise.resolve(run()).finally(() => vi.useRealTimers())
}

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds

describe('an access token', () => {
  it('is an at+jwt with the claims of RFC 9068, and the user_id that earlier clients read', () => {
    expect(decodeProtectedHeader(user.token)).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid: key.kid })
    const claims = decodeJwt(user.token)
    expect(claims).toMatchObject({
      iss: 'tidings',
      aud: 'tidings',
      sub: user.id,
      user_id: user.id,
      sid: expect.any(String),
      jti: expect.any(String),
    })
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(900)
  })

  it('is signed with the first key of the set, and verified with any of them, of either algorithm', async () => {
    expect((await readMe(`Bearer ${await forge({})}`)).status).toBe(200)
    expect((await readMe(`Bearer ${await forge({ signer: older })}`)).status).toBe(200)
  })

  it.each(SIGNING_ALGORITHMS)(
    'made by hand with the right key and %s is accepted: the forgeries below miss one thing',
    async (alg) => {
      const signer = alg === key.alg ? key : older
      expect((await readMe(`Bearer ${forgeSignature(signer, { alg, kid: signer.kid })}`)).status).toBe(200)
    },
  )

  it('is refused ten seconds after its expiry, even if it was verified a millisecond before', async () => {
    const tokens = await openTokens()
    const { token } = await tokens.issue(user.id, user.id)
    const endsAtMs = ((decodeJwt(token).exp ?? 0) + 10) * 1000
    vi.useFakeTimers({ toFake: ['Date'], now: endsAtMs - 1 })
    try {
      // The last millisecond passes during the signature check.
      const clock = vi.spyOn(Date, 'now').mockReturnValue(endsAtMs)
      await tokens.verify(token)
      clock.mockRestore()
      vi.setSystemTime(endsAtMs)
      await expect(async () => tokens.verify(token)).rejects.toMatchObject({ code: 'unauthorized' })
    } finally {
      vi.useRealTimers()
    }
  })

  it('can be verified with the published keys, which contain nothing private', async () => {
    const reply = await fetch(`${api.apiUrl}/.well-known/jwks.json`)
    const { keys } = (await reply.json()) as { keys: JWK[] }
    const [{ d: _d, ...first }, { d: _older, ...second }] = [key, older]
    expect(keys).toEqual([first, second])
    expect(keys.map(({ kty, crv, alg, use }) => [kty, crv, alg, use])).toEqual([
      ['OKP', 'Ed25519', 'EdDSA', 'sig'],
      ['EC', 'P-256', 'ES256', 'sig'],
    ])
    const jwks = createLocalJWKSet({ keys })
    for (const signer of [key, older])
      expect((await jwtVerify(await forge({ signer }), jwks)).payload.sub).toBe(user.id)
  })
})

describe('the clocks of issuer and verifier may differ by ten seconds', () => {
  const NOW = 1_800_000_000
  const HOUR = 3_600
  const legacy = (times: { iat: number; exp: number }) =>
    forgeHmac(LEGACY_SECRET, { alg: 'HS256', typ: 'JWT' }, { user_id: user.id, ...times })
  const own = (times: { iat: number; exp: number }) => forge({ claims: times })
  const kinds: [string, (times: { iat: number; exp: number }) => string | Promise<string>][] = [
    ['a token of this service', own],
    ['a token of the Django service', legacy],
  ]

  describe.each(kinds)('%s', (_kind, make) => {
    it.each<[string, number, number, 'accepted' | 'refused']>([
      ['expired 9 s ago', -HOUR, -9, 'accepted'],
      ['expired 10 s ago', -HOUR, -10, 'refused'],
      ['expired 11 s ago', -HOUR, -11, 'refused'],
      ['issued in 9 s', 9, HOUR, 'accepted'],
      ['issued in 10 s', 10, HOUR, 'accepted'],
      ['issued in 11 s', 11, HOUR, 'refused'],
    ])('that %s', async (_what, iat, exp, expected) => {
      const tokens = await openTokens({ legacySecret: LEGACY_SECRET })
      const token = await make({ iat: NOW + iat, exp: NOW + exp })
      vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 })
      try {
        const outcome = await Promise.resolve(tokens.verify(token)).then(
          () => 'accepted',
          () => 'refused',
        )
        expect(outcome).toBe(expected)
      } finally {
        vi.useRealTimers()
      }
    })

    it('that was verified before follows the same rule', async () => {
      const tokens = await openTokens({ legacySecret: LEGACY_SECRET })
      const token = await make({ iat: NOW - HOUR, exp: NOW })
      vi.useFakeTimers({ toFake: ['Date'], now: (NOW - 1) * 1000 })
      try {
        const claims = await tokens.verify(token)
        vi.setSystemTime((NOW + 9) * 1000)
        // The same object: it comes from memory.
        expect(tokens.verify(token)).toMatchObject(claims)
        vi.setSystemTime((NOW + 10) * 1000)
        await expect(async () => tokens.verify(token)).rejects.toMatchObject({ code: 'unauthorized' })
      } finally {
        vi.useRealTimers()
      }
    })
  })

  it('and a session that is logged out ends at once, within the ten seconds too', async () => {
    const person = await register(api.apiUrl)
    const claims = { ...decodeJwt(person.token), exp: inSeconds(0) }
    const expired = `Bearer ${await forge({ claims })}`
    expect((await readMe(expired)).status).toBe(200)
    const ended = await call(`${api.apiUrl}/api/v1/auth/logout/`, {
      method: 'POST',
      headers: { authorization: expired },
    })
    expect(ended.status).toBe(200)
    for (const token of [expired, `Bearer ${person.token}`]) expect((await readMe(token)).status).toBe(401)
  })
})

describe('refused with 401 and WWW-Authenticate', () => {
  const pem = JSON.stringify({ kty: 'OKP', crv: 'Ed25519', x: key.x })
  const ecPem = createPublicKey({ key: { ...older }, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  const own = () => decodeJwt(user.token)
  const forgeries: [string, () => string | Promise<string>][] = [
    ['an expired token', async () => `Bearer ${await forge({ claims: { exp: inSeconds(-11) } })}`],
    ['a token issued in a minute', async () => `Bearer ${await forge({ claims: { iat: inSeconds(60) } })}`],
    ['a token not valid yet', async () => `Bearer ${await forge({ claims: { nbf: inSeconds(60) } })}`],
    ['alg none', () => `Bearer ${segment({ alg: 'none', typ: 'at+jwt', kid: key.kid })}.${segment(own())}.`],
    [
      'alg none in another case',
      () => `Bearer ${segment({ alg: 'NoNe', typ: 'at+jwt', kid: key.kid })}.${segment(own())}.`,
    ],
    [
      'HS256 keyed with the public key',
      () =>
        `Bearer ${forgeHmac(Buffer.from(key.x, 'base64url'), { alg: 'HS256', typ: 'at+jwt', kid: key.kid }, own())}`,
    ],
    [
      'HS256 keyed with the public point of an ES256 key',
      () =>
        `Bearer ${forgeHmac(Buffer.from(older.x, 'base64url'), { alg: 'HS256', typ: 'at+jwt', kid: older.kid }, own())}`,
    ],
    [
      'HS256 keyed with the public PEM of an ES256 key',
      () => `Bearer ${forgeHmac(ecPem, { alg: 'HS256', kid: older.kid }, own())}`,
    ],
    [
      'ES256 in the header, signed with an EdDSA key',
      () => `Bearer ${forgeSignature(key, { alg: 'ES256', kid: key.kid })}`,
    ],
    [
      'EdDSA in the header, signed with an ES256 key',
      () => `Bearer ${forgeSignature(older, { alg: 'EdDSA', kid: older.kid })}`,
    ],
    [
      'an ES256 key under the kid of an EdDSA key',
      () => `Bearer ${forgeSignature(older, { alg: 'ES256', kid: key.kid })}`,
    ],
    [
      'an EdDSA key under the kid of an ES256 key',
      () => `Bearer ${forgeSignature(key, { alg: 'EdDSA', kid: older.kid })}`,
    ],
    ['another name of EdDSA', () => `Bearer ${forgeSignature(key, { alg: 'Ed25519', kid: key.kid })}`],
    ['an algorithm of no key', () => `Bearer ${forgeSignature(older, { alg: 'ES384', kid: older.kid })}`],
    ['HS256 keyed with the public JWK', () => `Bearer ${forgeHmac(pem, { alg: 'HS256' }, own())}`],
    [
      'a foreign key under our kid',
      async () => `Bearer ${await forge({ signer: { ...generateSigningKey(), kid: key.kid } })}`,
    ],
    ['an unknown kid', async () => `Bearer ${await forge({ header: { kid: 'other' } })}`],
    ['no kid', async () => `Bearer ${await forge({ header: { kid: undefined } })}`],
    ['jku', async () => `Bearer ${await forge({ header: { jku: 'https://example.com/jwks.json' } })}`],
    [
      'jwk',
      async () => {
        const { d: _d, ...jwk } = generateSigningKey()
        return `Bearer ${await forge({ header: { jwk } })}`
      },
    ],
    ['crit', async () => `Bearer ${await forge({ header: { crit: ['urn:example'], 'urn:example': true } })}`],
    ['another audience', async () => `Bearer ${await forge({ claims: { aud: 'other' } })}`],
    ['another issuer', async () => `Bearer ${await forge({ claims: { iss: 'other' } })}`],
    ['another type', async () => `Bearer ${await forge({ header: { typ: 'JWT' } })}`],
    ['no session', async () => `Bearer ${await forge({ claims: { sid: undefined } })}`],
    [
      "another user's id with this session",
      async () => `Bearer ${await forge({ claims: { sub: (await register(api.apiUrl)).id } })}`,
    ],
    [
      'a changed payload',
      () => `Bearer ${user.token.replace(/\.[^.]+\./, `.${segment({ ...own(), exp: inSeconds(9999) })}.`)}`,
    ],
    ['a refresh token', () => `Bearer ${user.refreshToken}`],
    ['Basic with a good token', () => `Basic ${user.token}`],
    ['no scheme', () => user.token],
    ['two tokens', () => `Bearer ${user.token}, Bearer ${user.token}`],
    ['an unknown service key', () => 'Bearer tdk_unknown'],
  ]

  it.each(forgeries)('%s', async (_what, make) => {
    const reply = await readMe(await make())
    expect([reply.status, reply.body.error]).toEqual([401, 'unauthorized'])
    expect(reply.headers.get('www-authenticate')).toMatch(/^Bearer/)
  })
})

describe('a token of the Django service', () => {
  const header = { alg: 'HS256', typ: 'JWT' }
  const WEEK = 7 * 86_400
  const legacy = (userId: string, exp: number, secret = LEGACY_SECRET, claims: JWTPayload = {}) =>
    `Bearer ${forgeHmac(secret, header, { user_id: userId, email: 'x@example.com', exp, ...claims })}`

  it('is accepted until it expires', async () => {
    const reply = await readMe(legacy(user.id, inSeconds(7 * 86_400)))
    expect([reply.status, reply.body.data.id]).toEqual([200, user.id])
    expect((await readMe(legacy(user.id, inSeconds(-11)))).status).toBe(401)
  })

  it('is refused with another secret, for an unknown user and for an inactive user', async () => {
    const inactive = await register(api.apiUrl)
    await api.database.pool.query('UPDATE users SET is_active = false WHERE id = $1', [inactive.id])
    const unknown = '0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee'
    const exp = inSeconds(7 * 86_400)
    const replies = [
      await readMe(legacy(user.id, exp, 'some other secret')),
      await readMe(legacy(unknown, exp)),
      await readMe(legacy(inactive.id, exp)),
    ]
    expect(replies.map((reply) => reply.status)).toEqual([401, 401, 401])
  })

  it('ends with a logout, and a token issued later is accepted', async () => {
    const person = await register(api.apiUrl)
    const authorization = legacy(person.id, inSeconds(7 * 86_400 - 60))
    expect((await readMe(authorization)).status).toBe(200)
    const ended = await call(`${api.apiUrl}/api/v1/auth/logout/`, {
      method: 'POST',
      headers: { authorization },
    })
    expect(ended.status).toBe(200)
    expect((await readMe(authorization)).status).toBe(401)
    await atAnotherTime(11, async () =>
      expect((await readMe(legacy(person.id, inSeconds(7 * 86_400)))).status).toBe(200),
    )
    expect((await readMe(`Bearer ${person.token}`)).status).toBe(200)
  })

  it.each<[string, { exp: number; iat?: number }]>([
    ['lives for thirty days', { exp: 30 * 86_400 }],
    ['lives for thirty days and has an iat', { exp: 30 * 86_400, iat: 0 }],
    ['lived for thirty days and is at its end', { exp: 60, iat: 60 - 30 * 86_400 }],
    ['says it is issued in an hour', { exp: WEEK, iat: 3_600 }],
    ['says it is issued in a year', { exp: 366 * 86_400, iat: 365 * 86_400 }],
  ])('is refused when it %s', async (_what, { exp, iat }) => {
    const claims = iat === undefined ? {} : { iat: inSeconds(iat) }
    expect((await readMe(legacy(user.id, inSeconds(exp), LEGACY_SECRET, claims))).status).toBe(401)
  })

  it.each<[string, object, object]>([
    ['a refresh token', {}, { token_type: 'refresh' }],
    ['a token of a link to reset the password', {}, { type: 'password_reset' }],
    ['a token with another purpose', {}, { purpose: 'verify-email' }],
    ['a token whose header has another type', { typ: 'refresh+jwt' }, {}],
    ["a token with the type of this service's tokens", { typ: 'at+jwt' }, {}],
    ['a token whose iat is no number', {}, { iat: 'now' }],
  ])('is not %s', async (_what, more, claims) => {
    const payload = { user_id: user.id, exp: inSeconds(60), ...claims }
    const token = forgeHmac(LEGACY_SECRET, { ...header, ...more }, payload)
    expect((await readMe(`Bearer ${token}`)).status).toBe(401)
  })

  it.each([
    ['token_type access', { typ: 'JWT' }, { token_type: 'access' }],
    ['no header typ', {}, {}],
  ])('with %s is accepted', async (_what, more, claims) => {
    const payload = { user_id: user.id, exp: inSeconds(60), ...claims }
    const token = forgeHmac(LEGACY_SECRET, { alg: 'HS256', ...more }, payload)
    expect((await readMe(`Bearer ${token}`)).status).toBe(200)
  })

  it.each<[string, (person: TestUser, authorization: string) => Promise<{ status: number }>]>([
    [
      'a logout with it',
      (_, authorization) =>
        call(`${api.apiUrl}/api/v1/auth/logout/`, { method: 'POST', headers: { authorization } }),
    ],
    [
      'a logout everywhere',
      ({ token }) => call(`${api.apiUrl}/api/v1/auth/logout-all/`, { method: 'POST', token }),
    ],
    [
      'a change of the password',
      ({ token, password }) =>
        call(`${api.apiUrl}/api/v1/users/me/password/`, {
          token,
          body: { current_password: password, new_password: 'another good one 9' },
        }),
    ],
  ])('ends with %s, by its iat where it has one', async (_what, end) => {
    const person = await register(api.apiUrl)
    // It lives for an hour: `exp` alone would make it six days older.
    const short = legacy(person.id, inSeconds(3_590), LEGACY_SECRET, { iat: inSeconds(-10) })
    const plain = legacy(person.id, inSeconds(WEEK - 10))
    // By a clock that is ahead: it would outlive the logout.
    const ahead = legacy(person.id, inSeconds(3_600), LEGACY_SECRET, { iat: inSeconds(9) })
    const all = [short, plain, ahead]
    for (const token of all) expect((await readMe(token)).status).toBe(200)
    expect((await end(person, short)).status).toBe(200)
    for (const token of all) expect((await readMe(token)).status).toBe(401)
    await atAnotherTime(11, async () => {
      const later = legacy(person.id, inSeconds(3_600), LEGACY_SECRET, { iat: inSeconds(0) })
      expect((await readMe(later)).status).toBe(200)
    })
  })

  it('is refused when no secret is configured', async () => {
    const token = legacy(user.id, inSeconds(60)).replace('Bearer ', '')
    const withSecret = await openTokens({ legacySecret: LEGACY_SECRET })
    expect(await withSecret.verify(token)).toMatchObject({ userId: user.id, sessionId: null })
    const strict = await openTokens()
    await expect(async () => strict.verify(token)).rejects.toMatchObject({ code: 'unauthorized' })
  })
})
