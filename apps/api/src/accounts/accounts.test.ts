import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { call, logIn, register } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()
let api: TestApi
let usersUrl: string
beforeAll(async () => {
  api = await startTestApi(releaser, { RATE_LIMIT_ENABLED: 'false' })
  usersUrl = `${api.apiUrl}/api/v1/users`
})

/** The body without the request's id, the only thing in which two equal refusals differ. */
const withoutInstance = (text: string) => text.replace(/"instance":"[^"]*"/, '"instance":""')

describe('a route that is asked last', () => {
  it('is measured once, as itself', async () => {
    await call(`${usersUrl}/me/password/`, { body: {} })
    const metrics = await (await fetch(`${api.apiUrl}/metrics`)).text()
    const counted = metrics.split('\n').filter((line) => /_count\{.*method="POST"/.test(line))
    expect(counted).toHaveLength(1)
    expect(counted[0]).toMatch(/route="\/api\/v1\/users\/:id\/password",status="4xx".* 1$/)
  })
})

describe('registration', () => {
  it("takes the seed's own example and logs the user in", async () => {
    const reply = await call(`${usersUrl}/`, {
      body: {
        name: 'Test User',
        email: 'test@example.com',
        password: 'securepass123',
        preferences: { email: true, push: true },
      },
    })
    expect(reply.status).toBe(201)
    expect(reply.body).toMatchObject({
      success: true,
      data: {
        user: {
          name: 'Test User',
          email: 'test@example.com',
          push_token: null,
          preferences: { email: true, push: true },
        },
        token: expect.any(String),
        refresh_token: expect.any(String),
        expires_in: 900,
      },
    })
    expect(reply.text).not.toContain('securepass123')
  })

  it('refuses an address that differs from a registered one by case only', async () => {
    const { email } = await register(api.apiUrl)
    const reply = await call(usersUrl, {
      body: { name: 'Other', email: email.toUpperCase(), password: 'correct horse battery' },
    })
    expect(reply.status).toBe(409)
    expect(reply.body).toMatchObject({ error: 'email_taken', errors: [{ pointer: '/email' }] })
  })

  it('registers an address once when it comes twenty times at once', async () => {
    const body = { name: 'Racer', email: 'racer@example.com', password: 'correct horse battery' }
    const replies = await Promise.all(Array.from({ length: 20 }, () => call(usersUrl, { body })))
    const statuses = replies.map((reply) => reply.status).sort()
    expect(statuses).toEqual([201, ...Array.from({ length: 19 }, () => 409)])
  })

  it.each([
    ['role', { role: 'admin' }],
    ['is_staff', { is_staff: true }],
    ['id', { id: '00000000-0000-0000-0000-000000000000' }],
  ])('refuses the unknown field %s and stores nothing', async (_name, extra) => {
    const email = `extra-${_name}@example.com`
    const reply = await call(usersUrl, {
      body: { name: 'X', email, password: 'correct horse battery', ...extra },
    })
    expect(reply.status).toBe(400)
    const found = await api.database.pool.query('SELECT 1 FROM users WHERE email = $1', [email])
    expect(found.rows).toEqual([])
  })

  it.each([
    ['too short', 'short77'],
    ['too long', 'x'.repeat(1025)],
    ['common', 'password123'],
    ['common in another case', 'PassWord123'],
    ['the address', 'strong.person@example.com'],
    ['the name', 'Strongest Person'],
  ])('refuses a password that is %s', async (_why, password) => {
    const reply = await call(usersUrl, {
      body: { name: 'Strongest Person', email: 'strong.person@example.com', password },
    })
    expect(reply.status).toBe(400)
    expect(reply.body.errors).toMatchObject([{ pointer: '/password' }])
    expect(reply.text).not.toContain(password)
  })

  it.each([
    ['of 8 characters', 'zq8!kd0x'],
    ['of 1,024 characters', 'p'.repeat(1024)],
    ['of 1,024 emoji', '🐧'.repeat(1024)],
    ['of emoji and accents', '🐧🐧🐧🐧 naïveté'],
    ['with spaces around it', '  leading and trailing  '],
  ])('takes a password %s and logs in with it, and with no other', async (_what, password) => {
    const user = await register(api.apiUrl, { password })
    await logIn(api.apiUrl, user.email.toUpperCase(), password)
    const wrong = await call(`${usersUrl}/login/`, {
      body: { email: user.email, password: `${[...password].slice(0, -1).join('')}?` },
    })
    expect(wrong.status).toBe(401)
  })

  it.each([
    'İ@example.com',
    'раypal@example.com',
    '"quoted"@example.com',
    `${'a'.repeat(250)}@e.com`,
    'a@b',
    'x',
  ])('refuses the address %s', async (email) => {
    const reply = await call(usersUrl, { body: { name: 'X', email, password: 'correct horse battery' } })
    expect(reply.status).toBe(400)
    expect(reply.body.errors).toMatchObject([{ pointer: '/email' }])
  })
})

describe('login', () => {
  it('answers the same for an unknown address, a wrong password, an inactive user and an unusable password', async () => {
    const known = await register(api.apiUrl)
    const inactive = await register(api.apiUrl)
    const unusable = await register(api.apiUrl)
    await api.database.pool.query('UPDATE users SET is_active = false WHERE id = $1', [inactive.id])
    await api.database.pool.query("UPDATE users SET password = '!unusable' WHERE id = $1", [unusable.id])
    const attempts = [
      { email: 'nobody@example.com', password: 'wrong password' },
      { email: known.email, password: 'wrong password' },
      { email: inactive.email, password: inactive.password },
      { email: unusable.email, password: unusable.password },
      { email: unusable.email, password: '!unusable' },
      { email: 'not an address', password: 'wrong password' },
    ]
    const replies = await Promise.all(attempts.map((body) => call(`${usersUrl}/login/`, { body })))
    expect(replies.map((reply) => reply.status)).toEqual(attempts.map(() => 401))
    expect(new Set(replies.map((reply) => withoutInstance(reply.text))).size).toBe(1)
    expect(replies[0]?.headers.get('www-authenticate')).toMatch(/^Bearer/)
  })
})

describe('reading a user', () => {
  it('shows the caller to themselves, by id and as me, with and without the trailing slash', async () => {
    const user = await register(api.apiUrl, { push_token: 'device-1' })
    const paths = [user.id, `${user.id}/`, 'me', 'me/', user.id.toUpperCase()]
    const replies = await Promise.all(paths.map((path) => call(`${usersUrl}/${path}`, { token: user.token })))
    expect(new Set(replies.map((reply) => `${reply.status} ${reply.text}`)).size).toBe(1)
    expect(replies[0]?.body.data).toEqual({
      id: user.id,
      name: 'Test Person',
      email: user.email,
      push_token: 'device-1',
      preferences: { email: true, push: true },
      created_at: expect.stringMatching(/Z$/),
      updated_at: expect.stringMatching(/Z$/),
    })
  })

  it("answers another user's id exactly like an absent one", async () => {
    const [user, other] = [await register(api.apiUrl), await register(api.apiUrl)]
    const ids = [other.id, '0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee', 'not-a-uuid']
    const replies = await Promise.all(ids.map((id) => call(`${usersUrl}/${id}/`, { token: user.token })))
    expect(replies.map((reply) => reply.status)).toEqual([404, 404, 404])
    expect(new Set(replies.map((reply) => withoutInstance(reply.text))).size).toBe(1)
  })

  it('answers 304 while the entity tag holds and 200 after a change', async () => {
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

  it('lets a service with users:read read anyone, and no other service', async () => {
    const user = await register(api.apiUrl)
    const [reader, writer] = [await api.createKey('users:read'), await api.createKey('status:write:email')]
    expect((await call(`${usersUrl}/${user.id}/`, { token: reader })).status).toBe(200)
    expect((await call(`${usersUrl}/${user.id}/`, { token: writer })).status).toBe(403)
    expect((await call(`${usersUrl}/me/`, { token: reader })).status).toBe(404)
    expect((await call(`${usersUrl}/${user.id}/`)).status).toBe(401)
  })
})
