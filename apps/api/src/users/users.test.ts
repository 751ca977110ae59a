import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { call, logIn, readMe, register, type TestUser, withoutInstance } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const ABSENT = '0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee'

const releaser = useReleaser()
let api: TestApi
let usersUrl: string
let reader: string
beforeAll(async () => {
  api = await startTestApi(releaser)
  usersUrl = `${api.apiUrl}/api/v1/users`
  reader = await api.createKey('users:read')
})

const patch = (user: TestUser, path: string, body: unknown) =>
  call(`${usersUrl}/${path}`, { method: 'PATCH', token: user.token, body })

describe('reading a user', () => {
  it('shows callers themselves, by id or me, with or without the trailing slash', async () => {
    const user = await register(api.apiUrl, { push_token: 'device-1' })
    const paths = [user.id, `${user.id}/`, 'me', 'me/', user.id.toUpperCase()]
    const replies = await Promise.all(paths.map((path) => call(`${usersUrl}/${path}`, { token: user.token })))
    expect(new Set(replies.map((reply) => `${reply.status} ${reply.text}`)).size).toBe(1)
    expect(replies[0]?.body.data).toEqual({
      id: user.id,
      email_verified_at: null,
      name: 'Test Person',
      email: user.email,
      push_token: 'device-1',
      preferences: { email: true, push: true },
      created_at: expect.stringMatching(/Z$/),
      updated_at: expect.stringMatching(/Z$/),
    })
  })

  it("answers 404 for another user's id, exactly as for an absent one", async () => {
    const [user, other] = [await register(api.apiUrl), await register(api.apiUrl)]
    const ids = [other.id, ABSENT, 'not-a-uuid']
    const replies = await Promise.all(ids.map((id) => call(`${usersUrl}/${id}/`, { token: user.token })))
    expect(replies.map((reply) => reply.status)).toEqual([404, 404, 404])
    expect(new Set(replies.map((reply) => withoutInstance(reply.text))).size).toBe(1)
  })

  it('answers 304 while the entity tag is current, and 200 after a change', async () => {
    const user = await register(api.apiUrl)
    const url = `${usersUrl}/me`
    const etag = (await call(url, { token: user.token })).headers.get('etag') ?? ''
    expect(etag).toMatch(/^"[\w-]+"$/)
    const read = (tag: string) => call(url, { token: user.token, headers: { 'if-none-match': tag } })
    const same = await read(`"other", W/${etag}`)
    expect([same.status, same.text, same.headers.get('etag')]).toEqual([304, '', etag])
    await call(url, { method: 'PATCH', token: user.token, body: { name: 'New Name' } })
    const changed = await read(etag)
    expect(changed.status).toBe(200)
    expect(changed.body.data).toMatchObject({ name: 'New Name' })
    expect(changed.headers.get('etag')).not.toBe(etag)
  })

  it('lets a service read anyone with users:read, and nobody without it', async () => {
    const user = await register(api.apiUrl)
    const [reader, writer] = [await api.createKey('users:read'), await api.createKey('status:write:email')]
    expect((await call(`${usersUrl}/${user.id}/`, { token: reader })).status).toBe(200)
    expect((await call(`${usersUrl}/${user.id}/`, { token: writer })).status).toBe(403)
    expect((await call(`${usersUrl}/me/`, { token: reader })).status).toBe(404)
    expect((await call(`${usersUrl}/${user.id}/`)).status).toBe(401)
  })
})

describe('changing a user', () => {
  it('sets the name, the push token or one preference, and nothing else', async () => {
    const user = await register(api.apiUrl)
    expect((await patch(user, 'me', { name: '  New Name ' })).body.data).toMatchObject({ name: 'New Name' })
    expect((await patch(user, `${user.id}/`, { push_token: 'abc' })).body.data).toMatchObject({
      push_token: 'abc',
    })
    const reply = await patch(user, 'me/', { preferences: { push: false } })
    expect(reply.body.data).toMatchObject({
      id: user.id,
      name: 'New Name',
      push_token: 'abc',
      preferences: { email: true, push: false },
    })
    expect((await patch(user, 'me/update_push_token/', { push_token: null })).body.data).toMatchObject({
      push_token: null,
    })
    expect((await patch(user, 'me', {})).status).toBe(200)
  })

  it.each([
    ['role', { role: 'admin' }],
    ['email', { email: 'other@example.com' }],
    ['is_staff', { is_staff: true }],
    ['a preference that does not exist', { preferences: { sms: true } }],
    ['an empty name', { name: ' ' }],
    ['NUL', { name: 'a\0b' }],
    ['a lone surrogate', { name: '\ud800' }],
  ])('refuses %s', async (_what, body) => {
    const user = await register(api.apiUrl)
    const before = (await readMe(api.apiUrl, user.token)).text
    expect((await patch(user, 'me', body)).status).toBe(400)
    expect((await readMe(api.apiUrl, user.token)).text).toBe(before)
  })

  it('answers 404 for another user, as for an absent one, whatever the request', async () => {
    const [user, other] = [await register(api.apiUrl), await register(api.apiUrl)]
    const passwords = { current_password: other.password, new_password: 'taken over 123456' }
    const attempts = (id: string) => [
      patch(user, `${id}/`, { name: 'X' }),
      patch(user, `${id}/update_push_token/`, { push_token: 'x' }),
      call(`${usersUrl}/${id}/password/`, { token: user.token, body: passwords }),
      call(`${usersUrl}/${id}/`, { method: 'DELETE', token: user.token }),
    ]
    const others = await Promise.all(attempts(other.id))
    const absent = await Promise.all(attempts(ABSENT))
    expect(others.map((reply) => reply.status)).toEqual([404, 404, 404, 404])
    expect(others.map(({ text }) => withoutInstance(text))).toEqual(
      absent.map(({ text }) => withoutInstance(text)),
    )
    await logIn(api.apiUrl, other.email, other.password)
  })
})

describe('listing users', () => {
  it('gives a service every user once, newest first', async () => {
    const made: string[] = []
    for (let n = 0; n < 7; n++) made.push((await register(api.apiUrl)).id)
    const listed: string[] = []
    let cursor = ''
    for (;;) {
      const { body } = await call<{ id: string }[]>(`${usersUrl}/?limit=3${cursor && `&cursor=${cursor}`}`, {
        token: reader,
      })
      expect(body.meta).toMatchObject({ limit: 3, has_next: body.meta?.next_cursor !== null })
      listed.push(...body.data.map((user) => user.id))
      if (body.meta?.next_cursor == null) break
      cursor = body.meta.next_cursor
    }
    expect(listed.slice(0, 7)).toEqual(made.toReversed())
    expect(new Set(listed).size).toBe(listed.length)
    const { rows } = await api.database.pool.query('SELECT count(*)::int AS n FROM users')
    expect(listed.length).toBe(rows[0].n)
  })

  it('is refused to users, and for an invalid cursor or limit', async () => {
    const user = await register(api.apiUrl)
    expect((await call(`${usersUrl}/`, { token: user.token })).status).toBe(403)
    expect((await call(`${usersUrl}/`)).status).toBe(401)
    expect((await call(`${usersUrl}/?cursor=abc`, { token: reader })).status).toBe(400)
    expect((await call(`${usersUrl}/?limit=101`, { token: reader })).status).toBe(400)
  })
})

describe('preferences for a sender', () => {
  const channel = (email: string | null, push: string | null) => ({
    deliverable: { email: email === null, push: push === null },
    reasons: { email, push },
    devices: [],
  })

  it('name the choice, the deliverable channels and the first reason against the others', async () => {
    const reachable = await register(api.apiUrl, { push_token: 'token-of-reachable' })
    const noToken = await register(api.apiUrl)
    const optedOut = await register(api.apiUrl, { push_token: 'token-of-opted-out' })
    await patch(optedOut, 'me', { preferences: { email: false, push: false } })
    const inactive = await register(api.apiUrl, { push_token: 'token-of-inactive' })
    const devices = (await call(`${usersUrl}/${reachable.id}/devices/`, { token: reader })).body.data
    expect(devices).toMatchObject([{ device_id: 'default', platform: null, token: 'token-of-reachable' }])
    await api.database.pool.query('UPDATE users SET is_active = false WHERE id = $1', [inactive.id])
    const ids = [reachable.id, noToken.id, optedOut.id, inactive.id, ABSENT, reachable.id.toUpperCase()]
    const reply = await call(`${usersUrl}/preferences/batch/`, { token: reader, body: { user_ids: ids } })
    const both = { email: true, push: true }
    expect(reply.body.data).toEqual([
      { user_id: reachable.id, preferences: both, ...channel(null, null), devices },
      { user_id: noToken.id, preferences: both, ...channel(null, 'no_push_token') },
      {
        user_id: optedOut.id,
        preferences: { email: false, push: false },
        ...channel('opted_out', 'opted_out'),
      },
      { user_id: inactive.id, preferences: both, ...channel('inactive', 'inactive') },
      { user_id: ABSENT, preferences: null, ...channel('unknown_user', 'unknown_user') },
    ])
    const one = await call(`${usersUrl}/${noToken.id}/preferences/`, { token: reader })
    expect(one.body.data).toEqual({
      user_id: noToken.id,
      preferences: both,
      ...channel(null, 'no_push_token'),
    })
    expect((await call(`${usersUrl}/${ABSENT}/preferences/`, { token: reader })).status).toBe(404)
  })

  it('accept 1 to 500 ids, from services only', async () => {
    const user = await register(api.apiUrl)
    const ask = (user_ids: string[], token = reader) =>
      call(`${usersUrl}/preferences/batch`, { token, body: { user_ids } })
    const many = Array.from(
      { length: 500 },
      (_, n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
    )
    expect((await ask(many)).status).toBe(200)
    expect((await ask([...many, ABSENT])).status).toBe(400)
    expect((await ask([])).status).toBe(400)
    expect((await ask(['me'])).status).toBe(400)
    expect((await ask([user.id], user.token)).status).toBe(403)
  })
})
