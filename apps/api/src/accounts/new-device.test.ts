import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { emailLinks } from '../testing/email-links.ts'
import { call, register, type TestUser } from '../testing/http.ts'
import { Mailbox } from '../testing/mailbox.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()
let api: TestApi
let mailbox: Mailbox
beforeAll(async () => {
  api = await startTestApi(releaser, { TRUSTED_PROXY_HOPS: '1' })
  mailbox = new Mailbox(api.database)
})

async function logInFrom({ email, password }: TestUser, address: string, userAgent: string) {
  const reply = await call(`${api.apiUrl}/api/v1/users/login/`, {
    body: { email, password },
    headers: { 'x-forwarded-for': address, 'user-agent': userAgent, 'accept-language': 'fr' },
  })
  expect(reply.status).toBe(200)
}

async function readNotices({ email }: TestUser) {
  const notices = (await mailbox.read(email)).filter(({ kind }) => kind === 'new_device')
  await mailbox.age(61)
  return notices.length
}

describe('a notice of a new device', () => {
  it('follows a login with another user agent or from another network', async () => {
    const user = await register(api.apiUrl)
    await logInFrom(user, '192.0.2.1', 'Phone')
    expect(await readNotices(user)).toBe(1)
    await logInFrom(user, '192.0.2.200', 'Phone')
    expect(await readNotices(user)).toBe(1)
    await logInFrom(user, '192.0.2.1', 'Laptop')
    expect(await readNotices(user)).toBe(2)
    await logInFrom(user, '198.51.100.1', 'Laptop')
    expect(await readNotices(user)).toBe(3)
    // Each is known by itself, and not together.
    await logInFrom(user, '198.51.100.1', 'Phone')
    expect(await readNotices(user)).toBe(4)
    await logInFrom(user, '2001:db8:1:2::3', 'Phone')
    expect(await readNotices(user)).toBe(5)
    await logInFrom(user, '2001:db8:1:ff::4', 'Phone')
    expect(await readNotices(user)).toBe(5)
  })

  it('says which device, and roughly where', async () => {
    const user = await register(api.apiUrl)
    await emailLinks(api.apiUrl).verify(await mailbox.readToken(user.email, 'email_verification'))
    await logInFrom(user, '192.0.2.77', 'Phone')
    expect((await mailbox.read(user.email)).at(-1)).toMatchObject({
      kind: 'new_device',
      locale: 'fr',
      variables: { device: 'Phone', address: '192.0.2.0/24' },
    })
  })

  it('has no text of the client while nobody has proved the address', async () => {
    const user = await register(api.apiUrl)
    await logInFrom(user, '192.0.2.77', 'You won! https://example.com/prize')
    expect((await mailbox.read(user.email)).at(-1)?.variables).toEqual({ address: '192.0.2.0/24' })
  })

  it('is sent once an hour, also for several logins at once', async () => {
    const user = await register(api.apiUrl)
    await Promise.all(Array.from({ length: 5 }, (_, n) => logInFrom(user, `203.0.113.${n}`, `Device ${n}`)))
    expect(await readNotices(user)).toBe(1)
  })

  it('does not follow the first login of an account without sessions, such as one of Django', async () => {
    const user = await register(api.apiUrl)
    await api.database.pool.query('DELETE FROM sessions WHERE user_id = $1', [user.id])
    await logInFrom(user, '192.0.2.1', 'Phone')
    expect(await readNotices(user)).toBe(0)
  })
})
