import { generateSigningKey } from '@tidings/shared/signing-keys'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  type BackendKind,
  createTestBackend,
  describeBackends,
  testRedisUrl,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { call, logIn, register, type TestUser } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

async function queueVariables(kind: BackendKind, releaser: ReturnType<typeof useReleaser>) {
  if (kind === 'postgres') return {}
  const backend = await createTestBackend('redis', releaser)
  if (backend.kind !== 'redis') throw new Error('Redis was asked for')
  return { QUEUE_BACKEND: 'redis', REDIS_URL: testRedisUrl(), QUEUE_PREFIX: backend.prefix }
}

interface GrantData {
  user: { id: string }
  token: string
  refresh_token: string
}

const refresh = (apiUrl: string, refreshToken: string) =>
  call<GrantData>(`${apiUrl}/api/v1/auth/refresh/`, { body: { refresh_token: refreshToken } })

const readMe = (apiUrl: string, token: string) => call(`${apiUrl}/api/v1/users/me/`, { token })

describeBackends('two replicas of the API', (kind) => {
  const releaser = useReleaser()
  let one: TestApi
  let two: TestApi
  beforeAll(async () => {
    const shared = {
      ...(await queueVariables(kind, releaser)),
      JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }),
      RATE_LIMIT_ENABLED: 'false',
    }
    one = await startTestApi(releaser, shared)
    two = await startTestApi(releaser, { ...shared, DATABASE_URL: one.url })
  })

  /** Reads at both, so that both remember. */
  async function warmUp(token: string) {
    for (const { apiUrl } of [one, two, one, two]) expect((await readMe(apiUrl, token)).status).toBe(200)
  }

  /** Far below any time to live: only a message can have told the other replica. */
  const soon = { timeoutMs: 3_000 }

  it('show a change made at the other at once', async () => {
    const user = await register(one.apiUrl)
    await warmUp(user.token)
    await call(`${one.apiUrl}/api/v1/users/me/`, {
      method: 'PATCH',
      token: user.token,
      body: { name: 'Changed' },
    })
    await waitFor(
      'the change to arrive',
      async () => (await readMe(two.apiUrl, user.token)).body.data.name === 'Changed',
      soon,
    )
    expect((await readMe(one.apiUrl, user.token)).body.data.name).toBe('Changed')
  })

  it.each([
    [
      'logout',
      (user: TestUser) => call(`${one.apiUrl}/api/v1/auth/logout/`, { method: 'POST', token: user.token }),
    ],
    [
      'logout everywhere',
      (user: TestUser) =>
        call(`${one.apiUrl}/api/v1/auth/logout-all/`, { method: 'POST', token: user.token }),
    ],
    [
      'erasure',
      (user: TestUser) => call(`${one.apiUrl}/api/v1/users/me/`, { method: 'DELETE', token: user.token }),
    ],
  ])('refuse the access token after %s at the other', async (_what, end) => {
    const user = await register(one.apiUrl)
    await warmUp(user.token)
    expect((await end(user)).status).toBe(200)
    expect((await readMe(one.apiUrl, user.token)).status).toBe(401)
    await waitFor('the end', async () => (await readMe(two.apiUrl, user.token)).status === 401, soon)
    expect((await refresh(two.apiUrl, user.refreshToken)).status).toBe(401)
  })

  it('end all other sessions when the password changes, and keep the one that changed it', async () => {
    const first = await register(one.apiUrl)
    const second = await logIn(two.apiUrl, first.email, first.password)
    await warmUp(first.token)
    await warmUp(second.token)
    const changed = await call(`${one.apiUrl}/api/v1/users/me/password/`, {
      token: first.token,
      body: { current_password: first.password, new_password: 'another good one 9' },
    })
    expect(changed.body.data).toEqual({ ended_sessions: 1 })
    await waitFor('the end', async () => (await readMe(two.apiUrl, second.token)).status === 401, soon)
    await warmUp(first.token)
    expect((await refresh(one.apiUrl, second.refreshToken)).status).toBe(401)
    const old = { email: first.email, password: first.password }
    expect((await call(`${one.apiUrl}/api/v1/users/login/`, { body: old })).status).toBe(401)
    await logIn(two.apiUrl, first.email, 'another good one 9')
  })

  it('give twenty refreshes at once the same child', async () => {
    const user = await register(one.apiUrl)
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, n) => refresh(n % 2 === 0 ? one.apiUrl : two.apiUrl, user.refreshToken)),
    )
    expect(replies.map((reply) => reply.status)).toEqual(replies.map(() => 200))
    const children = new Set(replies.map((reply) => reply.body.data.refresh_token))
    expect(children.size).toBe(1)
    for (const { body } of replies) expect((await readMe(two.apiUrl, body.data.token)).status).toBe(200)
    const [child = ''] = children
    expect((await refresh(one.apiUrl, child)).status).toBe(200)
  })
})

describe('sessions', () => {
  const releaser = useReleaser()
  let api: TestApi
  beforeAll(async () => {
    api = await startTestApi(releaser, { RATE_LIMIT_ENABLED: 'false' })
  })

  it('end when a refresh token is used again after the grace', async () => {
    const user = await register(api.apiUrl)
    const child = (await refresh(api.apiUrl, user.refreshToken)).body.data
    // Ten seconds are simulated where they are kept.
    await api.database.pool.query("UPDATE refresh_tokens SET rotated_at = rotated_at - interval '11 seconds'")
    expect((await readMe(api.apiUrl, child.token)).status).toBe(200)
    expect((await refresh(api.apiUrl, user.refreshToken)).status).toBe(401)
    expect((await refresh(api.apiUrl, child.refresh_token)).status).toBe(401)
    expect((await readMe(api.apiUrl, child.token)).status).toBe(401)
  })

  it('are kept apart: reuse in one leaves the others', async () => {
    const user = await register(api.apiUrl)
    const other = await logIn(api.apiUrl, user.email, user.password)
    await refresh(api.apiUrl, user.refreshToken)
    await api.database.pool.query("UPDATE refresh_tokens SET rotated_at = rotated_at - interval '11 seconds'")
    expect((await refresh(api.apiUrl, user.refreshToken)).status).toBe(401)
    expect((await readMe(api.apiUrl, other.token)).status).toBe(200)
    expect((await refresh(api.apiUrl, other.refreshToken)).status).toBe(200)
  })

  it('are listed for their owner, the current one marked', async () => {
    const user = await register(api.apiUrl)
    await logIn(api.apiUrl, user.email, user.password)
    const { body } = await call<{ current: boolean; ip: string; user_agent: string }[]>(
      `${api.apiUrl}/api/v1/auth/sessions/`,
      { token: user.token },
    )
    expect(body.data).toHaveLength(2)
    expect(body.data.filter((session) => session.current)).toMatchObject([
      { ip: '127.0.0.1', user_agent: 'node' },
    ])
  })

  it('are stored without any token in plain text', async () => {
    const user = await register(api.apiUrl)
    const child = (await refresh(api.apiUrl, user.refreshToken)).body.data.refresh_token
    const rows = await api.database.pool.query(
      'SELECT row_to_json(t)::text AS row FROM refresh_tokens t UNION ALL SELECT row_to_json(s)::text FROM sessions s',
    )
    const stored = rows.rows.map((row) => row.row).join('\n')
    for (const token of [user.refreshToken, child, user.token]) {
      expect(stored).not.toContain(token)
      expect(stored).not.toContain(Buffer.from(token).toString('hex'))
    }
  })

  it('are deleted when they are over, also when their user never returns', async () => {
    const user = await register(api.apiUrl)
    const countSessions = async () => {
      const sql = 'SELECT id FROM sessions WHERE user_id = $1'
      return (await api.database.pool.query(sql, [user.id])).rows.length
    }
    await api.database.pool.query(
      "UPDATE sessions SET expires_at = now() - interval '2 hours' WHERE user_id = $1",
      [user.id],
    )
    expect(await countSessions()).toBe(1)
    // At its start, and now and then after it.
    await startTestApi(releaser, { DATABASE_URL: api.url })
    await waitFor('the session to go', async () => (await countSessions()) === 0)
  })

  it.each(['', 'x', 'a'.repeat(43)])('are not refreshed by %j', async (token) => {
    const reply = await refresh(api.apiUrl, token)
    expect(reply.status).toBe(token === '' ? 400 : 401)
  })
})
