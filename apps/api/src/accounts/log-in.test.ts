import { generateSigningKey } from '@tidings/shared/signing-keys'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { createAccessTokens } from '../auth/access-tokens.ts'
import { NO_RATE_LIMITS } from '../auth/rate-limits.ts'
import { importSigningKeys } from '../auth/signing-keys.ts'
import { createPasswords } from '../passwords/passwords.ts'
import { createCountingPool } from '../testing/counting-pool.ts'
import { DJANGO_HASHES, OTHER_DJANGO_HASHES } from '../testing/django-hashes.ts'
import { attemptLogin, register } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'
import { logIn } from './log-in.ts'

const releaser = useReleaser()

describe('a refused login', () => {
  const ITERATIONS = 600_000
  /** The counting pool derives zeroes: this hash matches every password. */
  const matching = (iterations: number) =>
    `pbkdf2_sha256$${iterations}$s$${Buffer.alloc(32).toString('base64')}`
  const other = (iterations: number) =>
    `pbkdf2_sha256$${iterations}$s$${Buffer.alloc(32, 1).toString('base64')}`

  it('takes the same work for every account, known or not', async () => {
    const { database } = await createTestDatabase(releaser)
    const pool = createCountingPool()
    const deps = {
      db: database,
      caches: { sessions: { invalidate: async () => {} } },
      passwords: createPasswords(pool, ITERATIONS),
      rateLimits: NO_RATE_LIMITS,
      tokens: createAccessTokens({
        keys: await importSigningKeys(JSON.stringify({ keys: [generateSigningKey()] })),
        issuer: 'tidings',
        audience: 'tidings',
        ttlSeconds: 60,
      }),
      refreshTtlSeconds: 60,
      requireVerifiedEmail: true,
    }
    const accounts: [name: string, hash: string, isActive: boolean][] = [
      ['wrong', other(ITERATIONS), true],
      ['inactive-right', matching(ITERATIONS), false],
      ['inactive-weak', matching(ITERATIONS / 4), false],
      ['unusable', '!', true],
      ['weaker', other(ITERATIONS / 4), true],
      ['over-limit', other(10_000_001), true],
      ...OTHER_DJANGO_HASHES.map(({ hash }, n): [string, string, boolean] => [`other-${n}`, hash, true]),
    ]
    for (const [name, hash, isActive] of accounts) {
      await database.pool.query(
        'INSERT INTO users (id, email, name, password, is_active) VALUES (gen_random_uuid(), $1, $2, $3, $4)',
        [`${name}@example.com`, name, hash, isActive],
      )
    }
    const client = { address: '192.0.2.1', userAgent: null, locale: 'en' }
    for (const name of ['unknown', ...accounts.map(([account]) => account)]) {
      const credentials = { email: `${name}@example.com`, password: 'any password' }
      await expect(logIn(deps, credentials, client), name).rejects.toMatchObject({
        code: 'invalid_credentials',
      })
      expect(pool.takeWork(), name).toEqual({ tasks: 1, iterations: ITERATIONS })
    }
  })
})

describe('logins with slow hashes', () => {
  const ITERATIONS = 150_000
  let api: TestApi
  beforeAll(async () => {
    api = await startTestApi(releaser, { PASSWORD_ITERATIONS: String(ITERATIONS) })
  })

  it('do not delay other requests', async () => {
    const flood = Array.from({ length: 8 }, () => attemptLogin(api.apiUrl, 'a@example.com', 'wrong'))
    let isFlooded = true
    const statuses = Promise.all(flood).then((replies) => {
      isFlooded = false
      return replies.map((reply) => reply.status)
    })
    let answered = 0
    while (isFlooded) {
      expect((await fetch(`${api.apiUrl}/health/live`)).status).toBe(200)
      answered++
    }
    expect(await statuses).toEqual(flood.map(() => 401))
    // If the event loop derived the keys, it could answer about one request between two logins.
    expect(answered).toBeGreaterThan(2 * flood.length)
  })

  it.each<[string, { password: string; hash: string }, number]>([
    ['replace a weaker hash of Django', DJANGO_HASHES[0], ITERATIONS],
    ['keep a stronger hash of Django', DJANGO_HASHES[1], 260_000],
    ...OTHER_DJANGO_HASHES.map((vector): [string, { password: string; hash: string }, number] => [
      `replace a hash of ${vector.source}`,
      vector,
      ITERATIONS,
    ]),
  ])('%s', async (_, { password, hash }, iterations) => {
    const { id, email } = await register(api.apiUrl)
    const { pool } = api.database
    await pool.query('UPDATE users SET password = $2 WHERE id = $1', [id, hash])
    expect((await attemptLogin(api.apiUrl, email, password)).status).toBe(200)

    const { rows } = await pool.query<{ password: string }>('SELECT password FROM users WHERE id = $1', [id])
    const stored = rows[0]?.password ?? ''
    expect(stored).toMatch(new RegExp(`^pbkdf2_sha256\\$${iterations}\\$`))
    expect(stored === hash).toBe(iterations !== ITERATIONS)
    expect((await attemptLogin(api.apiUrl, email, password)).status).toBe(200)
  })
})
