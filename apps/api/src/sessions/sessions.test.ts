import { generateSigningKey } from '@tidings/shared/signing-keys'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  attemptLogin,
  call,
  logIn,
  readMe,
  refresh,
  register,
  type TestUser,
  withoutInstance,
} from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

describeBackends('two replicas of the API', (kind) => {
  const releaser = useReleaser()
  let one: TestApi
  let two: TestApi
  beforeAll(async () => {
    const database = await createTestDatabase(releaser)
    const stores = { database, backend: await createTestBackend(kind, releaser, database) }
    const variables = { JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }) }
    one = await startTestApi(releaser, variables, stores)
    two = await startTestApi(releaser, variables, stores)
  })

  /** Reads twice at both replicas, so that both have the session and the user in memory. */
  async function warmUp(token: string) {
    for (const { apiUrl } of [one, two, one, two]) expect((await readMe(apiUrl, token)).status).toBe(200)
  }

  /** Below every cache lifetime: only a message can have told the other replica. */
  const soon = { timeoutMs: 8_000, intervalMs: 10 }

  it('show a change that was made at the other replica', async () => {
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
      'the end of the session',
      async (user: TestUser) => {
        const url = `${one.apiUrl}/api/v1/auth/sessions/`
        const [session] = (await call<{ id: string }[]>(url, { token: user.token })).body.data
        return call(`${url}${session?.id}/`, { method: 'DELETE', token: user.token })
      },
    ],
    [
      'erasure',
      (user: TestUser) => call(`${one.apiUrl}/api/v1/users/me/`, { method: 'DELETE', token: user.token }),
    ],
  ])('refuse the access token after %s at the other replica', async (_what, end) => {
    const user = await register(one.apiUrl)
    await warmUp(user.token)
    expect((await end(user)).status).toBe(200)
    expect((await readMe(one.apiUrl, user.token)).status).toBe(401)
    await waitFor('the end', async () => (await readMe(two.apiUrl, user.token)).status === 401, soon)
    expect((await refresh(two.apiUrl, user.refreshToken)).status).toBe(401)
  })

  it('end all other sessions when the password changes, and keep the current one', async () => {
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
    expect((await attemptLogin(one.apiUrl, first.email, first.password)).status).toBe(401)
    await logIn(two.apiUrl, first.email, 'another good one 9')
  })

  it('give twenty concurrent refreshes the same child token', async () => {
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
  const absentUserId = '018f2f6a-0000-7000-8000-000000000010'
  beforeAll(async () => {
    const database = await createTestDatabase(releaser)
    const { pool } = database.database
    await pool.query(
      "INSERT INTO users (id, email, name, password) VALUES ($1, 'gone@example.com', 'N', '!')",
      [absentUserId],
    )
    const expired = await pool.query(
      "INSERT INTO sessions (id, user_id, expires_at) VALUES (gen_random_uuid(), $1, now() - interval '2 hours')",
      [absentUserId],
    )
    expect(expired.rowCount).toBe(1)
    api = await startTestApi(releaser, {}, { database })
  })

  it('outlive a lost answer: the refresh is repeated an hour later', async () => {
    const user = await register(api.apiUrl)
    const child = (await refresh(api.apiUrl, user.refreshToken)).body.data
    await api.database.pool.query("UPDATE refresh_tokens SET rotated_at = rotated_at - interval '1 hour'")
    // Using the access token does not show that the client has the new refresh token.
    expect((await readMe(api.apiUrl, child.token)).status).toBe(200)
    const again = await refresh(api.apiUrl, user.refreshToken)
    expect([again.status, again.body.data.refresh_token]).toEqual([200, child.refresh_token])
    expect((await refresh(api.apiUrl, child.refresh_token)).status).toBe(200)
  })

  it('end when a refresh token comes again whose child was used', async () => {
    const user = await register(api.apiUrl)
    const child = (await refresh(api.apiUrl, user.refreshToken)).body.data
    const newest = (await refresh(api.apiUrl, child.refresh_token)).body.data
    expect((await readMe(api.apiUrl, newest.token)).status).toBe(200)
    expect((await refresh(api.apiUrl, user.refreshToken)).status).toBe(401)
    for (const { refresh_token } of [child, newest])
      expect((await refresh(api.apiUrl, refresh_token)).status).toBe(401)
    expect((await readMe(api.apiUrl, newest.token)).status).toBe(401)
  })

  it('are independent: reuse in one does not end the others', async () => {
    const user = await register(api.apiUrl)
    const other = await logIn(api.apiUrl, user.email, user.password)
    const child = (await refresh(api.apiUrl, user.refreshToken)).body.data
    await refresh(api.apiUrl, child.refresh_token)
    expect((await refresh(api.apiUrl, user.refreshToken)).status).toBe(401)
    expect((await readMe(api.apiUrl, other.token)).status).toBe(200)
    expect((await refresh(api.apiUrl, other.refreshToken)).status).toBe(200)
  })

  it('are listed for their owner with device and last use, the current one marked', async () => {
    const user = await register(api.apiUrl)
    const userAgent =
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'
    await call(`${api.apiUrl}/api/v1/users/login/`, {
      body: { email: user.email, password: user.password },
      headers: { 'user-agent': userAgent },
    })
    await api.database.pool.query(
      "UPDATE sessions SET last_used_at = '2026-01-02T03:04:05Z' WHERE user_id = $1 AND user_agent = 'node'",
      [user.id],
    )
    const { body } = await call(`${api.apiUrl}/api/v1/auth/sessions/`, { token: user.token })
    expect(body.data).toMatchObject([
      { current: false, device: 'Chrome on Windows', user_agent: userAgent },
      { current: true, device: 'node', ip: '127.0.0.1', last_used_at: '2026-01-02T03:04:05.000Z' },
    ])
  })

  it('are ended one by one by their owner only', async () => {
    const user = await register(api.apiUrl)
    const [lost, other] = [await logIn(api.apiUrl, user.email, user.password), await register(api.apiUrl)]
    const listIds = async (token: string) =>
      (await call<{ id: string }[]>(`${api.apiUrl}/api/v1/auth/sessions/`, { token })).body.data.map(
        ({ id }) => id,
      )
    const end = (id: string, token = user.token) =>
      call(`${api.apiUrl}/api/v1/auth/sessions/${id}/`, { method: 'DELETE', token })
    const [lostId = '', ownId = ''] = await listIds(user.token)
    const [othersId = ''] = await listIds(other.token)

    const absent = await end('018f2f6a-0000-7000-8000-000000000099')
    for (const reply of [await end(othersId), await end('x'), await end(lostId, other.token), absent])
      expect([reply.status, withoutInstance(reply.text)]).toEqual([404, withoutInstance(absent.text)])
    expect((await readMe(api.apiUrl, other.token)).status).toBe(200)

    const ended = await end(lostId.toUpperCase())
    expect([ended.status, ended.body.data]).toEqual([200, { id: lostId }])
    expect((await readMe(api.apiUrl, lost.token)).status).toBe(401)
    expect((await refresh(api.apiUrl, lost.refreshToken)).status).toBe(401)
    expect(withoutInstance((await end(lostId)).text)).toBe(withoutInstance(absent.text))
    expect(await listIds(user.token)).toEqual([ownId])
    expect((await end(ownId)).status).toBe(200)
    expect((await readMe(api.apiUrl, user.token)).status).toBe(401)
  })

  it('are at most fifty of a user: the next login ends the one that was not used for the longest time', async () => {
    const oldest = await register(api.apiUrl)
    const unused = await logIn(api.apiUrl, oldest.email, oldest.password)
    const sql = 'UPDATE sessions SET last_used_at = created_at + $2::interval WHERE user_id = $1'
    await api.database.pool.query(sql, [oldest.id, '-1 hour'])
    const listed = async () =>
      (await call<object[]>(`${api.apiUrl}/api/v1/auth/sessions/`, { token: oldest.token })).body.data
    for (let n = 2; n < 50; n++) await logIn(api.apiUrl, oldest.email, oldest.password)
    expect((await readMe(api.apiUrl, unused.token)).status).toBe(200)
    expect(await listed()).toHaveLength(50)
    expect((await refresh(api.apiUrl, oldest.refreshToken)).status).toBe(200)

    await Promise.all(Array.from({ length: 5 }, () => logIn(api.apiUrl, oldest.email, oldest.password)))
    expect((await readMe(api.apiUrl, unused.token)).status).toBe(401)
    expect((await refresh(api.apiUrl, unused.refreshToken)).status).toBe(401)
    expect((await readMe(api.apiUrl, oldest.token)).status).toBe(200)
    expect(await listed()).toHaveLength(50)
    const rows = await api.database.pool.query('SELECT id FROM sessions WHERE user_id = $1', [oldest.id])
    expect(rows.rowCount).toBe(50)
  })

  it('are stored without a token in plain text', async () => {
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

  it('are deleted after they expire, even if their user never returns', async () => {
    const sql = 'SELECT id FROM sessions WHERE user_id = $1'
    const countSessions = async () => (await api.database.pool.query(sql, [absentUserId])).rows.length
    await waitFor('the session to be deleted', async () => (await countSessions()) === 0)
  })

  it.each(['', 'x', 'a'.repeat(43)])('are not refreshed with the token %j', async (token) => {
    const reply = await refresh(api.apiUrl, token)
    expect(reply.status).toBe(token === '' ? 400 : 401)
  })
})
