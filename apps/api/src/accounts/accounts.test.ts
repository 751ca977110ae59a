import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { attemptLogin, call, logIn, register, withoutInstance } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()
let api: TestApi
let usersUrl: string
beforeAll(async () => {
  api = await startTestApi(releaser)
  usersUrl = `${api.apiUrl}/api/v1/users`
})

describe('a POST route with a parameter', () => {
  it('is measured once, under its own pattern', async () => {
    await call(`${usersUrl}/me/password/`, { body: {} })
    const metrics = await (await fetch(`${api.apiUrl}/metrics`)).text()
    const counted = metrics.split('\n').filter((line) => /_count\{.*method="POST"/.test(line))
    expect(counted).toHaveLength(1)
    expect(counted[0]).toMatch(/route="\/api\/v1\/users\/:id\/password",status="4xx".* 1$/)
  })
})

describe('registration', () => {
  it("accepts the Django service's own example and logs the user in", async () => {
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

  it('registers an address once of twenty concurrent requests', async () => {
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
    ['one repeated letter', 'aaaaaaaa'],
    ['only spaces', '        '],
    ['repeated', 'abcabcabcabc'],
    ['a sequence', 'abcdefgh'],
    ['a falling sequence', '87654321'],
    ['of two sequences', 'abcd2345'],
    ['common, with a sign after it', 'sunshine!'],
    ['common, spelled with signs', 'P@ssw0rd!'],
    ['common, in full-width letters', 'ｐａｓｓｗｏｒｄ１'],
    ['common, with spaces between', 'p a s s w o r d'],
    ['the local part and a digit', 'strong.person1'],
    ['a part of the name and a year', 'strongest2026'],
    ['the name, spelled with signs', '$trongestPer5on!'],
    ['too short when its accents are composed', 'a\u0301e\u0301i\u0301o\u0301u'],
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
    ['of 1,024 characters', 'pass phr'.repeat(128)],
    ['of 1,024 emoji', '🐧🐦🦆🦉🦅🦢🦩🐓'.repeat(128)],
    ['with a common word in it', 'sunshine on my 2 shoulders'],
    ['that ends in many digits', 'sunshine48151'],
    ['of emoji and accents', '🐧🐧🐧🐧 naïveté'],
    ['with spaces around it', '  leading and trailing  '],
  ])('accepts a password %s, and logs in with it and with no other', async (_what, password) => {
    const user = await register(api.apiUrl, { password })
    await logIn(api.apiUrl, user.email.toUpperCase(), password)
    const wrong = `${[...password].slice(0, -1).join('')}?`
    expect((await attemptLogin(api.apiUrl, user.email, wrong)).status).toBe(401)
  })

  it.each([
    ['NFC', 'NFD'],
    ['NFD', 'NFC'],
  ])('accepts a password that is set in %s and typed in %s', async (set, typed) => {
    const password = 'Pässwörter-Café'
    const user = await register(api.apiUrl, { password: password.normalize(set) })
    await logIn(api.apiUrl, user.email, password.normalize(typed))
    await logIn(api.apiUrl, user.email, password.normalize(set))
  })

  it.each([
    ['a line break', 'Ann\r\nBcc: all@example.com', 'forbidden_character'],
    ['an escape sequence', '\u001b[2JAnn', 'forbidden_character'],
    ['a line separator', 'Ann\u2028Lee', 'forbidden_character'],
    ['a direction override', 'Ann\u202efdp.exe', 'forbidden_character'],
    ['a direction isolate', 'Ann\u2067lee', 'forbidden_character'],
    ['only a zero-width space', '\u200b', 'not_visible'],
    ['only a Hangul filler', '\u3164', 'not_visible'],
    ['only a blank Braille pattern', '\u2800', 'not_visible'],
    ['only a combining accent', '\u0301', 'not_visible'],
  ])('refuses a name with %s, also in a change', async (_what, name, code) => {
    const registration = await call(usersUrl, {
      body: { name, email: 'unseen@example.com', password: 'correct horse battery' },
    })
    expect([registration.status, registration.body.errors]).toMatchObject([400, [{ pointer: '/name', code }]])
    const user = await register(api.apiUrl)
    const change = await call(`${usersUrl}/me/`, { method: 'PATCH', token: user.token, body: { name } })
    expect([change.status, change.body.errors]).toMatchObject([400, [{ pointer: '/name', code }]])
    const token = await call(`${usersUrl}/me/update_push_token/`, {
      method: 'PATCH',
      token: user.token,
      body: { push_token: name },
    })
    expect(token.status).toBe(400)
  })

  it.each(['José', 'O’Neil-李', 'שרה', 'علی\u200cرضا', '👩\u200d👩\u200d👧', 'X Æ A-12'])(
    'accepts the name %s',
    async (name) => {
      const user = await register(api.apiUrl)
      const reply = await call(`${usersUrl}/me/`, { method: 'PATCH', token: user.token, body: { name } })
      expect([reply.status, reply.body.data.name]).toEqual([200, name])
    },
  )

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
    const replies = await Promise.all(
      attempts.map(({ email, password }) => attemptLogin(api.apiUrl, email, password)),
    )
    expect(replies.map((reply) => reply.status)).toEqual(attempts.map(() => 401))
    expect(new Set(replies.map((reply) => withoutInstance(reply.text))).size).toBe(1)
    expect(replies[0]?.headers.get('www-authenticate')).toMatch(/^Bearer/)
  })
})

describe('changing the password', () => {
  it('needs the current password and a strong new one', async () => {
    const user = await register(api.apiUrl)
    const change = (current_password: string, new_password: string) =>
      call(`${usersUrl}/me/password/`, { token: user.token, body: { current_password, new_password } })
    const wrong = await change('not the current one', 'a good new password')
    expect([wrong.status, wrong.body.errors?.[0]]).toMatchObject([
      400,
      { pointer: '/current_password', code: 'wrong_password' },
    ])
    const common = await change(user.password, 'password123')
    expect([common.status, common.body.errors?.[0]]).toMatchObject([400, { pointer: '/new_password' }])
    expect((await change(user.password, 'a good new password')).status).toBe(200)
    await logIn(api.apiUrl, user.email, 'a good new password')
  })
})
