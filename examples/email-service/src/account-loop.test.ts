import { attemptLogin, call, register } from '@tidings/api/testing/http'
import { openDatabase } from '@tidings/db/database'
import { addMessage } from '@tidings/db/users/outbound-messages'
import { readEnvFile } from '@tidings/runtime/env-file'
import type { KeptMail } from '@tidings/stack/dev/mailbox'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { startTestStack, type TestStack } from '@tidings/stack/testing/test-stack'
import { beforeAll, expect, it } from 'vitest'

const OLD = 'ada@example.com'
const NEW = 'ada@example.net'
const PASSWORD = 'a much longer passphrase'

/** Real processes from end to end: API, worker, e-mail service, SMTP, and the pages that the links lead to. */
describeBackends('what a user does with the mails', (kind) => {
  const releaser = useReleaser()
  let stack: TestStack
  let apiUrl: string
  beforeAll(async () => {
    stack = await startTestStack(releaser, kind)
    apiUrl = stack.apiUrl
  })

  async function findMail(to: string, path: string): Promise<Omit<KeptMail, 'id'> | undefined> {
    const answer = await fetch(`${apiUrl}/dev/mailbox/messages`)
    const mails = (await answer.json()) as Omit<KeptMail, 'id'>[]
    return mails.find((mail) => mail.to === to && mail.text.includes(path))
  }

  /** The link to `path` in a mail, once it has arrived. */
  async function readLink(to: string, path: string): Promise<string> {
    await waitFor(`the mail to ${to}`, async () => (await findMail(to, path)) !== undefined)
    const link = new RegExp(`${apiUrl}${path}\\?token=[\\w-]{43}`).exec(
      (await findMail(to, path))?.text ?? '',
    )
    return link?.[0] ?? `no link to ${path}`
  }

  /** Opens a link as a mail scanner does, then sends the form of its page as the user does. */
  async function follow(link: string, fields: Record<string, string> = {}): Promise<number> {
    for (let time = 0; time < 2; time++) expect((await fetch(link)).status).toBe(200)
    const url = new URL(link)
    const token = url.searchParams.get('token') ?? ''
    const body = new URLSearchParams({ token, ...fields })
    return (await fetch(url.origin + url.pathname, { method: 'POST', body })).status
  }

  it('a message arrives with a link, and its notification becomes sent', async () => {
    const user = await register(stack.apiUrl, { email: 'ann@example.com' })
    const db = openDatabase({
      url: stack.databaseUrl,
      applicationName: 'test',
      maxConnections: 1,
      onError() {},
    })
    const message = { kind: 'email_change', userId: user.id, to: 'new@example.com', locale: 'de-AT' } as const
    const id = await addMessage(db, message).finally(() => db.close())
    const { SERVICE_KEY: key } = readEnvFile(stack.devEnvFile)
    const readMails = async () =>
      (await (await fetch(`${stack.apiUrl}/dev/mailbox/messages`)).json()) as Omit<KeptMail, 'id'>[]
    const find = (mails: Omit<KeptMail, 'id'>[]) => mails.find(({ to }) => to === 'new@example.com')
    await waitFor('the mail', async () => find(await readMails()) !== undefined)

    const mail = find(await readMails())
    expect(mail?.subject).toBe('Neue E-Mail-Adresse bestätigen')
    const link =
      new RegExp(`${stack.apiUrl}/confirm-email\\?token=[\\w-]{43}`).exec(mail?.text ?? '')?.[0] ?? 'none'
    expect(mail?.html).toContain(`href="${link}"`)
    const readNotification = () =>
      fetch(`${stack.apiUrl}/api/v1/notifications/${id}/?type=email`, {
        headers: { authorization: `Bearer ${key}` },
      })
    await waitFor('the status', async () => (await readNotification()).ok)
    expect(await (await readNotification()).json()).toMatchObject({
      data: {
        user_id: user.id,
        status: 'sent',
        timeline: [{ status: 'sent', source: 'email-service', attempt: 1 }],
      },
    })
    expect((await fetch(`${stack.apiUrl}/dev/mailbox/`)).status).toBe(200)
    expect(stack.notices).toEqual([])
  })

  it('verifies the address, resets the password, changes the address and undoes that', async () => {
    const { token } = await register(apiUrl, { email: OLD })
    const me = (as: string) => call<Record<string, unknown>>(`${apiUrl}/api/v1/users/me/`, { token: as })
    const post = (path: string, body: unknown, as?: string) =>
      call(`${apiUrl}/api/v1${path}`, { body, ...(as !== undefined && { token: as }) })
    expect((await me(token)).body.data.email_verified_at).toBeNull()

    const verify = await readLink(OLD, '/verify-email')
    expect(await follow(verify)).toBe(200)
    expect((await me(token)).body.data.email_verified_at).not.toBeNull()
    expect(await follow(verify)).toBe(400)

    expect((await post('/auth/password-reset/', { email: OLD })).status).toBe(202)
    const reset = await readLink(OLD, '/reset-password')
    expect(await follow(reset, { password: PASSWORD })).toBe(200)
    expect((await me(token)).status).toBe(401)
    const login = await attemptLogin(apiUrl, OLD, PASSWORD)
    const session = login.body.data.token

    expect((await post('/users/me/email/', { email: NEW, password: PASSWORD }, session)).status).toBe(202)
    expect((await me(session)).body.data.email).toBe(OLD)
    expect(await follow(await readLink(NEW, '/confirm-email'))).toBe(200)
    expect((await me(session)).body.data.email).toBe(NEW)

    expect(await follow(await readLink(OLD, '/undo-email'))).toBe(200)
    expect((await me(session)).status).toBe(401)
    expect((await attemptLogin(apiUrl, OLD, PASSWORD)).status).toBe(200)
  })
})
