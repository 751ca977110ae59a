import { setPassword } from '@tidings/db/users/change-password'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestBackend, createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { emailLinks } from '../testing/email-links.ts'
import {
  attemptLogin,
  call,
  readMe,
  refresh,
  register,
  TEST_PASSWORD,
  type TestUser,
} from '../testing/http.ts'
import { Mailbox } from '../testing/mailbox.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()
let api: TestApi
let mailbox: Mailbox
let links: ReturnType<typeof emailLinks>
beforeAll(async () => {
  api = await startTestApi(releaser)
  mailbox = new Mailbox(api.database)
  links = emailLinks(api.apiUrl)
})

let made = 0
const newAddress = () => `new-${made++}@example.org`

async function requestChange(user: TestUser, email = newAddress()): Promise<string> {
  expect((await links.requestChange(user.token, email, user.password)).status).toBe(202)
  return mailbox.readToken(email, 'email_change')
}

/** Changes the address of a new user. */
async function change() {
  const user = await register(api.apiUrl)
  const email = newAddress()
  expect((await links.confirmChange(await requestChange(user, email))).status).toBe(200)
  return { user, email, undo: await mailbox.readToken(user.email, 'email_changed') }
}

const readAddress = async (token: string) => (await readMe(api.apiUrl, token)).body.data.email

describe('a change of the address', () => {
  it('waits until the new address confirms, keeps the sessions, and tells the old address', async () => {
    const user = await register(api.apiUrl)
    await links.verify(await mailbox.readToken(user.email, 'email_verification'))
    const email = newAddress()
    const token = await requestChange(user, email)
    expect(await readAddress(user.token)).toBe(user.email)
    const reply = await links.confirmChange(token)
    expect([reply.status, reply.body.data]).toEqual([200, {}])
    const me = await readMe(api.apiUrl, user.token)
    expect(me.body.data).toMatchObject({ email, email_verified_at: expect.any(String) })
    expect((await refresh(api.apiUrl, user.refreshToken)).status).toBe(200)
    const notice = (await mailbox.read(user.email)).at(-1)
    expect(notice).toMatchObject({ kind: 'email_changed', variables: { new_email: 'n***@example.org' } })
    expect((await attemptLogin(api.apiUrl, email, user.password)).status).toBe(200)
    expect((await attemptLogin(api.apiUrl, user.email, user.password)).status).toBe(401)
    expect((await links.confirmChange(token)).body.error).toBe('invalid_token')
  })

  it('does not name the new address to an old one that nobody proved', async () => {
    const { user } = await change()
    const notice = (await mailbox.read(user.email)).at(-1)
    expect([notice?.kind, notice?.variables]).toEqual(['email_changed', {}])
  })

  it('needs the password or a recent login', async () => {
    const user = await register(api.apiUrl)
    const ask = (password?: string) => links.requestChange(user.token, newAddress(), password)
    expect((await ask()).status).toBe(202)
    const age = "UPDATE sessions SET created_at = now() - interval '6 minutes' WHERE user_id = $1"
    await api.database.pool.query(age, [user.id])
    expect((await ask()).body.error).toBe('reauthentication_required')
    expect((await ask('wrong')).body.error).toBe('reauthentication_required')
    expect((await ask(user.password)).status).toBe(202)
  })

  it('answers the same for an address that another user has, and sends nothing there', async () => {
    const [user, other] = [await register(api.apiUrl), await register(api.apiUrl)]
    const taken = await links.requestChange(user.token, other.email, user.password)
    const free = await links.requestChange(user.token, newAddress(), user.password)
    expect([taken.status, taken.text]).toEqual([202, free.text])
    expect(await mailbox.kindsTo(other.email)).toEqual(['email_verification'])
  })

  it('refuses the present address, in any case', async () => {
    const user = await register(api.apiUrl)
    const reply = await links.requestChange(user.token, user.email.toUpperCase(), user.password)
    expect([reply.status, reply.body.errors?.[0]]).toMatchObject([
      400,
      { pointer: '/email', code: 'same_email' },
    ])
  })

  it('is void after a later request, and after a change of the password', async () => {
    const user = await register(api.apiUrl)
    const [first, second] = [await requestChange(user), await requestChange(user)]
    expect((await links.confirmChange(first)).body.error).toBe('invalid_token')
    await call(`${api.apiUrl}/api/v1/users/me/password/`, {
      token: user.token,
      body: { current_password: user.password, new_password: 'another fine passphrase 9' },
    })
    expect((await links.confirmChange(second)).body.error).toBe('invalid_token')
  })

  it('fails with 409 when the address was taken meanwhile, also between two that confirm at once', async () => {
    const [one, two] = [await register(api.apiUrl), await register(api.apiUrl)]
    const email = newAddress()
    const tokens = [await requestChange(one, email), await requestChange(two, email)]
    const replies = await Promise.all(tokens.map((token) => links.confirmChange(token)))
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 409])
    expect(replies.find(({ status }) => status === 409)?.body.error).toBe('email_taken')
    const third = await register(api.apiUrl)
    const late = newAddress()
    const token = await requestChange(third, late)
    await register(api.apiUrl, { email: late })
    expect((await links.confirmChange(token)).body.error).toBe('email_taken')
    expect(await readAddress(third.token)).toBe(third.email)
  })

  it.each([
    ['a recent login', undefined, 401],
    ['the password', TEST_PASSWORD, 409],
  ])('is refused when a reset ends the session after the check of %s', async (_proof, password, status) => {
    const user = await register(api.apiUrl)
    const email = newAddress()
    const requested = await api.database.orm.transaction(async (tx) => {
      await setPassword({ orm: tx }, { userId: user.id, hash: '!' })
      const request = links.requestChange(user.token, email, password)
      await waitFor('the request to wait for the row', async () => {
        const { rowCount } = await api.database.pool.query(
          "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        )
        return rowCount === 1
      })
      return { request }
    })
    expect((await requested.request).status).toBe(status)
    expect(await mailbox.read(email)).toEqual([])
  })

  it('ends reset links to the old address', async () => {
    const user = await register(api.apiUrl)
    await links.requestReset(user.email)
    const reset = await mailbox.readToken(user.email, 'password_reset')
    await links.confirmChange(await requestChange(user))
    expect((await links.reset(reset, 'another fine passphrase 9')).body.error).toBe('invalid_token')
  })

  it('is limited for each user: every request sends mail to an address of their choice', async () => {
    const limited = await startTestApi(releaser, {
      RATE_LIMIT_ENABLED: 'true',
      RATE_LIMIT_EMAIL_CHANGE_PER_USER: '2',
    })
    const { token } = await register(limited.apiUrl)
    const statuses = []
    for (let n = 0; n < 3; n++)
      statuses.push((await emailLinks(limited.apiUrl).requestChange(token, newAddress())).status)
    expect(statuses).toEqual([202, 202, 429])
  })
})

describe('undoing a change of the address', () => {
  it('restores the old address, ends every session, keeps the password, and voids resets and changes', async () => {
    const { user, email, undo } = await change()
    const next = await requestChange(user)
    await links.requestReset(email)
    const reset = await mailbox.readToken(email, 'password_reset')
    expect((await links.undoChange(undo)).status).toBe(200)
    expect((await readMe(api.apiUrl, user.token)).status).toBe(401)
    expect((await links.confirmChange(next)).body.error).toBe('invalid_token')
    expect((await links.reset(reset, 'another fine passphrase 9')).body.error).toBe('invalid_token')
    expect((await attemptLogin(api.apiUrl, email, user.password)).status).toBe(401)
    const restored = await attemptLogin(api.apiUrl, user.email, user.password)
    expect(restored.body.data.user).toMatchObject({
      email: user.email,
      email_verified_at: null,
    })
    expect((await links.undoChange(undo)).body.error).toBe('invalid_token')
  })

  it('lets the reset that follows take the push tokens from whoever set them', async () => {
    const { user, undo } = await change()
    await call(`${api.apiUrl}/api/v1/users/me/`, {
      method: 'PATCH',
      token: user.token,
      body: { push_token: 'push-token-of-the-thief' },
    })
    await links.undoChange(undo)
    await links.requestReset(user.email)
    const reset = await mailbox.readToken(user.email, 'password_reset')
    expect((await links.reset(reset, 'another fine passphrase 9')).status).toBe(200)
    const owner = await attemptLogin(api.apiUrl, user.email, 'another fine passphrase 9')
    expect(owner.body.data.user).toMatchObject({ push_token: null, email_verified_at: expect.any(String) })
  })

  it('works after the password was changed, and after further changes of the address', async () => {
    const { user, undo } = await change()
    await links.confirmChange(await requestChange(user))
    await call(`${api.apiUrl}/api/v1/users/me/password/`, {
      token: user.token,
      body: { current_password: user.password, new_password: 'a password of the thief' },
    })
    expect((await links.undoChange(undo)).status).toBe(200)
    await links.requestReset(user.email)
    const reset = await mailbox.readToken(user.email, 'password_reset')
    expect((await links.reset(reset, 'another fine passphrase 9')).status).toBe(200)
  })

  it('works after whoever took the account over used the undo link of a later change', async () => {
    const { user, email, undo } = await change()
    await links.confirmChange(await requestChange(user))
    expect((await links.undoChange(await mailbox.readToken(email, 'email_changed'))).status).toBe(200)
    expect((await links.undoChange(undo)).status).toBe(200)
    expect((await attemptLogin(api.apiUrl, user.email, user.password)).status).toBe(200)
  })

  it('voids the undo links of later changes', async () => {
    const { user, email, undo } = await change()
    await links.confirmChange(await requestChange(user))
    const later = await mailbox.readToken(email, 'email_changed')
    expect((await links.undoChange(undo)).status).toBe(200)
    expect((await links.undoChange(later)).body.error).toBe('invalid_token')
  })

  it('is offered for a second change within the hour as well', async () => {
    const { user, undo } = await change()
    await links.undoChange(undo)
    const thief = await attemptLogin(api.apiUrl, user.email, user.password)
    await links.confirmChange(await requestChange({ ...user, token: thief.body.data.token }))
    const second = await mailbox.readToken(user.email, 'email_changed')
    expect((await links.undoChange(second)).status).toBe(200)
  })

  it('erases an account that took the old address and never proved it', async () => {
    const owner = await register(api.apiUrl)
    await links.verify(await mailbox.readToken(owner.email, 'email_verification'))
    await links.confirmChange(await requestChange(owner))
    const undo = await mailbox.readToken(owner.email, 'email_changed')
    const thief = await register(api.apiUrl, { email: owner.email, password: 'a password of the thief' })
    expect((await readMe(api.apiUrl, thief.token)).status).toBe(200)
    expect((await links.undoChange(undo)).status).toBe(200)
    expect((await readMe(api.apiUrl, thief.token)).status).toBe(401)
    expect((await refresh(api.apiUrl, thief.refreshToken)).status).toBe(401)
    const restored = await attemptLogin(api.apiUrl, owner.email, owner.password)
    expect(restored.body.data.user.id).toBe(owner.id)
  })

  it('fails with 409 when another user proved the old address, or nobody had proved it before', async () => {
    const owner = await register(api.apiUrl)
    await links.verify(await mailbox.readToken(owner.email, 'email_verification'))
    await links.confirmChange(await requestChange(owner))
    const undo = await mailbox.readToken(owner.email, 'email_changed')
    await register(api.apiUrl, { email: owner.email })
    await links.verify(await mailbox.readToken(owner.email, 'email_verification'))
    expect((await links.undoChange(undo)).body.error).toBe('email_taken')
    const unproven = await change()
    const other = await register(api.apiUrl, { email: unproven.user.email })
    expect((await links.undoChange(unproven.undo)).body.error).toBe('email_taken')
    expect((await readMe(api.apiUrl, other.token)).status).toBe(200)
  })

  it('fails after 72 hours', async () => {
    const late = await change()
    const { rows } = await api.database.pool.query<{ hours: string }>(
      `SELECT extract(epoch FROM expires_at - now()) / 3600 AS hours FROM one_time_tokens
       WHERE user_id = $1 AND purpose = 'email_undo'`,
      [late.user.id],
    )
    expect(Math.round(Number(rows[0]?.hours))).toBe(72)
    await api.database.pool.query('UPDATE one_time_tokens SET expires_at = now() WHERE user_id = $1', [
      late.user.id,
    ])
    expect((await links.undoChange(late.undo)).body.error).toBe('invalid_token')
  })
})

describe('two replicas of the API', () => {
  it('both show a changed address, and both end the sessions when it is undone', async () => {
    const database = await createTestDatabase(releaser)
    const stores = { database, backend: await createTestBackend('postgres', releaser, database) }
    const variables = { JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }) }
    const one = await startTestApi(releaser, variables, stores)
    const two = await startTestApi(releaser, variables, stores)
    const box = new Mailbox(database.database)
    const user = await register(one.apiUrl)
    const email = newAddress()
    for (const { apiUrl } of [one, two, one, two]) expect((await readMe(apiUrl, user.token)).status).toBe(200)
    const soon = { timeoutMs: 8_000, intervalMs: 10 }
    await emailLinks(one.apiUrl).requestChange(user.token, email)
    await emailLinks(one.apiUrl).confirmChange(await box.readToken(email, 'email_change'))
    const isChanged = async () => (await readMe(two.apiUrl, user.token)).body.data.email === email
    await waitFor('the change', isChanged, soon)
    await emailLinks(one.apiUrl).undoChange(await box.readToken(user.email, 'email_changed'))
    await waitFor('the end', async () => (await readMe(two.apiUrl, user.token)).status === 401, soon)
  })
})
