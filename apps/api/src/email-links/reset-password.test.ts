import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { emailLinks } from '../testing/email-links.ts'
import { attemptLogin, logIn, readMe, refresh, register, withoutInstance } from '../testing/http.ts'
import { Mailbox } from '../testing/mailbox.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const NEW_PASSWORD = 'another fine passphrase 9'

const releaser = useReleaser()
let api: TestApi
let mailbox: Mailbox
let links: ReturnType<typeof emailLinks>
beforeAll(async () => {
  api = await startTestApi(releaser)
  mailbox = new Mailbox(api.database)
  links = emailLinks(api.apiUrl)
})

/** Requests a reset and returns the token of the mail. */
async function readResetToken(email: string): Promise<string> {
  expect((await links.requestReset(email)).status).toBe(202)
  return mailbox.readToken(email, 'password_reset')
}

describe('a password reset', () => {
  it('sets the password, ends every session, verifies the address, and sends a notice', async () => {
    const user = await register(api.apiUrl)
    const other = await logIn(api.apiUrl, user.email, user.password)
    const token = await readResetToken(user.email)
    expect((await readMe(api.apiUrl, user.token)).body.data.email_verified_at).toBeNull()

    const reply = await links.reset(token, NEW_PASSWORD)
    expect([reply.status, reply.body.data]).toEqual([200, {}])
    for (const { token, refreshToken } of [user, other]) {
      expect((await readMe(api.apiUrl, token)).status).toBe(401)
      expect((await refresh(api.apiUrl, refreshToken)).status).toBe(401)
    }
    expect((await attemptLogin(api.apiUrl, user.email, user.password)).status).toBe(401)
    const { token: fresh } = await logIn(api.apiUrl, user.email, NEW_PASSWORD)
    expect((await readMe(api.apiUrl, fresh)).body.data.email_verified_at).toEqual(expect.any(String))
    expect(await mailbox.kindsTo(user.email)).toContain('password_changed')
  })

  it('takes any case of the address, and mails the stored one', async () => {
    const user = await register(api.apiUrl)
    await links.requestReset(user.email.toUpperCase())
    expect(await mailbox.kindsTo(user.email)).toContain('password_reset')
  })

  it('refuses a weak password without using the token up', async () => {
    const user = await register(api.apiUrl)
    const token = await readResetToken(user.email)
    for (const weak of ['password123', user.email, 'short', 'Test Person']) {
      const reply = await links.reset(token, weak)
      expect([reply.status, reply.body.error, reply.body.errors?.[0]?.pointer]).toEqual([
        400,
        'validation_failed',
        '/password',
      ])
    }
    expect((await links.reset(token, NEW_PASSWORD)).status).toBe(200)
  })

  it('succeeds once of several at once', async () => {
    const user = await register(api.apiUrl)
    const token = await readResetToken(user.email)
    const passwords = Array.from({ length: 6 }, (_, n) => `${NEW_PASSWORD} ${n}`)
    const replies = await Promise.all(passwords.map((password) => links.reset(token, password)))
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 400, 400, 400, 400, 400])
    const winner = passwords[replies.findIndex(({ status }) => status === 200)] ?? ''
    expect((await attemptLogin(api.apiUrl, user.email, winner)).status).toBe(200)
  })

  it('succeeds once of several tokens at once, without a deadlock', async () => {
    const user = await register(api.apiUrl)
    const tokens: string[] = []
    for (let n = 0; n < 4; n++) {
      tokens.push(await readResetToken(user.email))
      await mailbox.age(2)
    }
    const replies = await Promise.all(tokens.map((token) => links.reset(token, NEW_PASSWORD)))
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 400, 400, 400])
  })

  it('refuses every token that does not work with the same bytes', async () => {
    const user = await register(api.apiUrl)
    const verification = await mailbox.readToken(user.email, 'email_verification')
    const used = await readResetToken(user.email)
    expect((await links.reset(used, NEW_PASSWORD)).status).toBe(200)
    await mailbox.age(2)
    const works = await readResetToken(user.email)
    const expired = await readResetToken((await register(api.apiUrl)).email)
    await api.database.pool.query('UPDATE one_time_tokens SET expires_at = now() WHERE user_id <> $1', [
      user.id,
    ])
    const inactive = await register(api.apiUrl)
    const inactiveToken = await readResetToken(inactive.email)
    await api.database.pool.query('UPDATE users SET is_active = false WHERE id = $1', [inactive.id])
    const bad = {
      used,
      expired,
      truncated: works.slice(0, -1),
      extended: `${works}A`,
      'in another case': works.toLowerCase(),
      'with NUL': `${works}\0`,
      'a lone surrogate': '\ud800',
      empty: '',
      'too long': works.repeat(500),
      'another purpose': verification,
      'an inactive user’s': inactiveToken,
    }
    const bodies = new Set<string>()
    for (const [name, token] of Object.entries(bad)) {
      const reply = await links.reset(token, `${NEW_PASSWORD} ${name}`)
      expect([name, reply.status, reply.body.error]).toEqual([name, 400, 'invalid_token'])
      bodies.add(withoutInstance(reply.text))
    }
    expect(bodies.size).toBe(1)
    expect((await attemptLogin(api.apiUrl, user.email, NEW_PASSWORD)).status).toBe(200)
    expect((await links.reset(works, `${NEW_PASSWORD}!`)).status).toBe(200)
  })

  it('is void when the address changes', async () => {
    const user = await register(api.apiUrl)
    const token = await readResetToken(user.email)
    await api.database.pool.query("UPDATE users SET email = 'moved@example.com' WHERE id = $1", [user.id])
    expect((await links.reset(token, NEW_PASSWORD)).body.error).toBe('invalid_token')
  })

  it('takes an account that was never verified from whoever registered it', async () => {
    const squatter = await register(api.apiUrl, { push_token: 'push-token-of-the-squatter' })
    const { pool } = api.database
    await pool.query(
      `INSERT INTO devices (user_id, device_id, token, token_digest) VALUES ($1, 'phone', 'x', '\\x01')`,
      [squatter.id],
    )
    await links.requestChange(squatter.token, 'squatter@example.org')
    const change = await mailbox.readToken('squatter@example.org', 'email_change')

    expect((await links.reset(await readResetToken(squatter.email), NEW_PASSWORD)).status).toBe(200)
    expect((await readMe(api.apiUrl, squatter.token)).status).toBe(401)
    expect((await links.confirmChange(change)).body.error).toBe('invalid_token')
    const owner = await logIn(api.apiUrl, squatter.email, NEW_PASSWORD)
    expect((await readMe(api.apiUrl, owner.token)).body.data.push_token).toBeNull()
    expect((await pool.query('SELECT FROM devices WHERE user_id = $1', [squatter.id])).rows).toEqual([])
  })

  it.each([
    ['PUT', '/devices/phone/', { platform: 'fcm', token: 'push-token-of-the-squatter' }],
    ['PATCH', '/', { push_token: 'push-token-of-the-squatter' }],
    ['PATCH', '/', { name: 'Squatter' }],
  ])('refuses what the squatter began to send before the reset: %s %s %j', async (method, path, body) => {
    const squatter = await register(api.apiUrl)
    const text = JSON.stringify(body)
    const slow = request(`${api.apiUrl}/api/v1/users/me${path}`, {
      method,
      headers: {
        authorization: `Bearer ${squatter.token}`,
        'content-type': 'application/json',
        'content-length': text.length,
        expect: '100-continue',
      },
    })
    slow.write(text.slice(0, 5))
    await once(slow, 'continue')
    const token = await readResetToken(squatter.email)
    expect((await links.reset(token, NEW_PASSWORD)).status).toBe(200)
    slow.end(text.slice(5))
    const [answer] = (await once(slow, 'response')) as [IncomingMessage]
    answer.resume()
    expect(answer.statusCode).toBe(401)
    const owner = await logIn(api.apiUrl, squatter.email, NEW_PASSWORD)
    expect((await readMe(api.apiUrl, owner.token)).body.data).toMatchObject({
      name: 'Test Person',
      push_token: null,
    })
  })

  it('keeps the push token of an account whose address was verified before', async () => {
    const user = await register(api.apiUrl, { push_token: 'push-token-of-the-owner' })
    await links.verify(await mailbox.readToken(user.email, 'email_verification'))
    expect((await links.reset(await readResetToken(user.email), NEW_PASSWORD)).status).toBe(200)
    const { token } = await logIn(api.apiUrl, user.email, NEW_PASSWORD)
    expect((await readMe(api.apiUrl, token)).body.data.push_token).toBe('push-token-of-the-owner')
  })
})

describeBackends('a password reset at one of two replicas', (kind) => {
  it('ends the sessions at both', async () => {
    const database = await createTestDatabase(releaser)
    const stores = { database, backend: await createTestBackend(kind, releaser, database) }
    const variables = { JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }) }
    const one = await startTestApi(releaser, variables, stores)
    const two = await startTestApi(releaser, variables, stores)
    const user = await register(one.apiUrl)
    for (const { apiUrl } of [one, two, one, two]) expect((await readMe(apiUrl, user.token)).status).toBe(200)
    await emailLinks(one.apiUrl).requestReset(user.email)
    const token = await new Mailbox(database.database).readToken(user.email, 'password_reset')

    expect((await emailLinks(one.apiUrl).reset(token, NEW_PASSWORD)).status).toBe(200)
    expect((await readMe(one.apiUrl, user.token)).status).toBe(401)
    // Below every cache lifetime: only a message can have told the other replica.
    await waitFor('the end', async () => (await readMe(two.apiUrl, user.token)).status === 401, {
      timeoutMs: 8_000,
      intervalMs: 10,
    })
    const { token: fresh } = await logIn(two.apiUrl, user.email, NEW_PASSWORD)
    expect((await readMe(two.apiUrl, fresh)).body.data.email_verified_at).toEqual(expect.any(String))
    expect((await emailLinks(two.apiUrl).reset(token, NEW_PASSWORD)).body.error).toBe('invalid_token')
  })
})

describeBackends('a password reset of an account with too many wrong passwords', (kind) => {
  it('lets the owner log in, in every replica', async () => {
    const database = await createTestDatabase(releaser)
    const stores = { database, backend: await createTestBackend(kind, releaser, database) }
    const variables = {
      RATE_LIMIT_ENABLED: 'true',
      RATE_LIMIT_WRONG_PASSWORDS_PER_ACCOUNT: '2',
      JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }),
    }
    const [one, two] = await Promise.all([
      startTestApi(releaser, variables, stores),
      startTestApi(releaser, variables, stores),
    ])
    const user = await register(one.apiUrl)
    const login = async (replica: TestApi, password: string) =>
      (await attemptLogin(replica.apiUrl, user.email, password)).status
    for (const replica of [one, two])
      await waitFor('the limit', async () => (await login(replica, 'wrong')) === 429)
    const { requestReset, reset } = emailLinks(one.apiUrl)
    await requestReset(user.email)
    const token = await new Mailbox(database.database).readToken(user.email, 'password_reset')
    expect((await reset(token, NEW_PASSWORD)).status).toBe(200)
    expect(await login(one, NEW_PASSWORD)).toBe(200)
    await waitFor('the other replica', async () => (await login(two, NEW_PASSWORD)) === 200)
  })
})
