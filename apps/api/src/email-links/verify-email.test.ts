import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { emailLinks } from '../testing/email-links.ts'
import {
  attemptLogin,
  call,
  logIn,
  readMe,
  refresh,
  register,
  TEST_PASSWORD,
  withoutInstance,
} from '../testing/http.ts'
import { Mailbox } from '../testing/mailbox.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()

describe('the verification of an address', () => {
  let api: TestApi
  let mailbox: Mailbox
  let links: ReturnType<typeof emailLinks>
  beforeAll(async () => {
    api = await startTestApi(releaser)
    mailbox = new Mailbox(api.database)
    links = emailLinks(api.apiUrl)
  })

  const readVerifiedAt = async (token: string) =>
    (await readMe(api.apiUrl, token)).body.data.email_verified_at

  it('starts with the registration and ends with the token of the mail', async () => {
    const user = await register(api.apiUrl)
    expect(await readVerifiedAt(user.token)).toBeNull()
    const token = await mailbox.readToken(user.email, 'email_verification')
    const reply = await links.verify(token)
    expect([reply.status, reply.body.data]).toEqual([200, {}])
    expect(await readVerifiedAt(user.token)).toEqual(expect.any(String))
    expect((await links.verify(token)).body.error).toBe('invalid_token')
  })

  it('sends the mail in the first language of the registration, and no name', async () => {
    const email = 'sprache@example.com'
    const body = { name: 'Call +1 555 0100 now', email, password: TEST_PASSWORD }
    await call(`${api.apiUrl}/api/v1/users/`, { body, headers: { 'accept-language': 'de-at,en;q=0.5' } })
    const [message] = await mailbox.read(email)
    expect(message).toMatchObject({ locale: 'de-AT', variables: {} })
  })

  it('sends nothing for a refused registration', async () => {
    const { email } = await register(api.apiUrl)
    await call(`${api.apiUrl}/api/v1/users/`, { body: { name: 'B', email, password: TEST_PASSWORD } })
    expect(await mailbox.kindsTo(email)).toEqual(['email_verification'])
  })

  it('sends the mail again, once a minute, and never to a verified address', async () => {
    const user = await register(api.apiUrl)
    const ask = () => links.requestVerification(user.token)
    const count = async () => (await mailbox.read(user.email)).length
    const first = await ask()
    expect([first.status, first.body.data, await count()]).toEqual([202, {}, 1])
    await mailbox.age(2)
    await Promise.all([ask(), ask(), ask(), ask()])
    expect(await count()).toBe(2)
    expect((await links.verify(await mailbox.readToken(user.email, 'email_verification'))).status).toBe(200)
    await mailbox.age(2)
    const last = await ask()
    expect([last.status, last.text, await count()]).toEqual([202, first.text, 2])
  })

  it('fails when the address is not the user’s any more', async () => {
    const user = await register(api.apiUrl)
    const token = await mailbox.readToken(user.email, 'email_verification')
    await api.database.pool.query("UPDATE users SET email = 'elsewhere@example.com' WHERE id = $1", [user.id])
    expect((await links.verify(token)).body.error).toBe('invalid_token')
    expect(await readVerifiedAt(user.token)).toBeNull()
  })

  it('succeeds once of several at once', async () => {
    const user = await register(api.apiUrl)
    const token = await mailbox.readToken(user.email, 'email_verification')
    const replies = await Promise.all(Array.from({ length: 5 }, () => links.verify(token)))
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 400, 400, 400, 400])
  })
})

describe('while REQUIRE_VERIFIED_EMAIL is on', () => {
  let api: TestApi
  let mailbox: Mailbox
  let links: ReturnType<typeof emailLinks>
  beforeAll(async () => {
    api = await startTestApi(releaser, { REQUIRE_VERIFIED_EMAIL: 'true' })
    mailbox = new Mailbox(api.database)
    links = emailLinks(api.apiUrl)
  })

  it('a login of an unverified user is refused, and sends the mail once a minute', async () => {
    const user = await register(api.apiUrl)
    const tryLogin = () => attemptLogin(api.apiUrl, user.email, user.password)
    await mailbox.read(user.email)
    await mailbox.age(2)
    const replies = [await tryLogin(), await tryLogin()]
    for (const { status, body } of replies) expect([status, body.error]).toEqual([403, 'email_not_verified'])
    expect(await mailbox.kindsTo(user.email)).toEqual(['email_verification', 'email_verification'])
    await links.verify(await mailbox.readToken(user.email, 'email_verification'))
    expect((await tryLogin()).status).toBe(200)
  })

  it('a wrong password gets the same bytes as an unknown address', async () => {
    const { email } = await register(api.apiUrl)
    const [wrong, unknown] = await Promise.all(
      [email, 'nobody@example.com'].map((address) => attemptLogin(api.apiUrl, address, 'wrong')),
    )
    expect(wrong?.status).toBe(401)
    expect(withoutInstance(wrong?.text ?? '')).toBe(withoutInstance(unknown?.text ?? ''))
  })

  it('the session of the registration can ask for the mail, and refreshes once the address is verified', async () => {
    const user = await register(api.apiUrl)
    const refused = await refresh(api.apiUrl, user.refreshToken)
    expect([refused.status, refused.body.error]).toEqual([403, 'email_not_verified'])
    expect((await links.requestVerification(user.token)).status).toBe(202)
    await links.verify(await mailbox.readToken(user.email, 'email_verification'))
    expect((await refresh(api.apiUrl, user.refreshToken)).status).toBe(200)
    expect((await refresh(api.apiUrl, 'unknown')).status).toBe(401)
  })

  it('a reset lets a user in: it proves the address', async () => {
    const user = await register(api.apiUrl)
    await links.requestReset(user.email)
    await links.reset(await mailbox.readToken(user.email, 'password_reset'), 'another fine passphrase 9')
    await logIn(api.apiUrl, user.email, 'another fine passphrase 9')
  })
})
