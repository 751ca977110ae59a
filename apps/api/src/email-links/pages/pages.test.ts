import { OUTBOUND_LINKS } from '@tidings/shared/outbound-message'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { emailLinks } from '../../testing/email-links.ts'
import { attemptLogin, call, readMe, register, type TestUser } from '../../testing/http.ts'
import { Mailbox } from '../../testing/mailbox.ts'
import { startTestApi, type TestApi } from '../../testing/test-api.ts'

const releaser = useReleaser()
const PATHS = Object.values(OUTBOUND_LINKS).map(({ path }) => path)

let api: TestApi
let mailbox: Mailbox
let links: ReturnType<typeof emailLinks>
beforeAll(async () => {
  api = await startTestApi(releaser)
  mailbox = new Mailbox(api.database)
  links = emailLinks(api.apiUrl)
})

interface Answer {
  status: number
  headers: Headers
  html: string
}

async function read(response: Promise<Response>): Promise<Answer> {
  const { status, headers, ...rest } = await response.then(async (answer) => ({
    status: answer.status,
    headers: answer.headers,
    html: await answer.text(),
  }))
  expect(headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/)
  expect(headers.get('content-security-policy')).toContain("form-action 'self'; frame-ancestors 'none'")
  expect(headers.get('referrer-policy')).toBe('no-referrer')
  expect(headers.get('cache-control')).toBe('no-store')
  return { status, headers, ...rest }
}

const open = (path: string, token: string, method = 'GET') =>
  read(fetch(`${api.apiUrl}${path}?token=${encodeURIComponent(token)}`, { method }))
const submit = (path: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
  read(fetch(`${api.apiUrl}${path}`, { method: 'POST', body: new URLSearchParams(fields), headers }))
const titleOf = ({ html }: Answer) => /<title>(.*)<\/title>/.exec(html)?.[1]

async function readResetToken(user: TestUser): Promise<string> {
  await links.requestReset(user.email)
  return mailbox.readToken(user.email, 'password_reset')
}

describe('the pages behind links', () => {
  it.each(PATHS)('%s says what it does, and works with a slash at the end', async (path) => {
    for (const variant of [path, `${path}/`]) {
      const page = await open(variant, 'some-token')
      expect(page.status).toBe(200)
      expect(page.html).toContain('<html lang="en">')
      expect(page.html.match(/<h1>/g)).toHaveLength(1)
      expect(page.html).toContain(`<form method="post" action="${path}">`)
      expect(page.html).not.toMatch(/<script|https?:\/\//)
    }
  })

  it('change nothing when a mail scanner opens them', async () => {
    const user = await register(api.apiUrl)
    const token = await readResetToken(user)
    for (const method of ['GET', 'HEAD', 'GET'])
      for (const path of PATHS) expect((await open(path, token, method)).status).toBe(200)
    expect((await attemptLogin(api.apiUrl, user.email, user.password)).status).toBe(200)
    expect((await links.reset(token, 'another fine passphrase 9')).status).toBe(200)
  })

  it('reset a password, after a weak one was refused in words', async () => {
    const user = await register(api.apiUrl)
    const token = await readResetToken(user)
    for (const [password, words] of [
      ['', 'Use at least 8 characters.'],
      ['password123', 'common'],
      ['nul\0nul\0nul', 'NUL'],
    ] as const) {
      const refused = await submit('/reset-password', { token, password })
      expect([refused.status, titleOf(refused)]).toEqual([400, 'Error: Choose a new password'])
      expect(refused.html).toContain(words)
      expect(refused.html).toContain('role="alert" tabindex="-1" autofocus')
      expect(refused.html).toContain(`value="${token}"`)
      if (password !== '') expect(refused.html).not.toContain(password)
    }
    const done = await submit('/reset-password', { token, password: 'another fine passphrase 9' })
    expect([done.status, titleOf(done)]).toEqual([200, 'Password changed'])
    expect((await attemptLogin(api.apiUrl, user.email, 'another fine passphrase 9')).status).toBe(200)
    const again = await submit('/reset-password', { token, password: 'another fine passphrase 9' })
    expect([again.status, titleOf(again)]).toEqual([400, 'Error: This link does not work'])
  })

  it('verify, confirm and undo', async () => {
    const user = await register(api.apiUrl)
    const act = async (path: string, token: string) => {
      const done = await submit(path, { token })
      return [done.status, titleOf(done)]
    }
    const verification = await mailbox.readToken(user.email, 'email_verification')
    expect(await act('/verify-email', verification)).toEqual([200, 'Address verified'])
    await links.requestChange(user.token, 'pages@example.org')
    const confirmation = await mailbox.readToken('pages@example.org', 'email_change')
    expect(await act('/confirm-email', confirmation)).toEqual([200, 'Address changed'])
    expect((await readMe(api.apiUrl, user.token)).body.data.email).toBe('pages@example.org')
    const undo = await mailbox.readToken(user.email, 'email_changed')
    expect(await act('/undo-email', undo)).toEqual([200, 'Address restored'])
    expect((await readMe(api.apiUrl, user.token)).status).toBe(401)
  })

  it('say that an address was taken', async () => {
    const user = await register(api.apiUrl)
    await links.requestChange(user.token, 'wanted@example.org')
    const token = await mailbox.readToken('wanted@example.org', 'email_change')
    await register(api.apiUrl, { email: 'wanted@example.org' })
    const page = await submit('/confirm-email', { token })
    expect([page.status, titleOf(page)]).toEqual([409, 'Error: This did not work'])
    expect(page.html).toContain('Another account has this e-mail address meanwhile.')
  })

  it.each(['', '"><script>alert(1)</script>', 'a\0b', 'x'.repeat(500), 'ä'])(
    'refuse a token that is none, and do not repeat it: %j',
    async (token) => {
      for (const page of [await open('/verify-email', token), await submit('/verify-email', { token })]) {
        expect([page.status, titleOf(page)]).toEqual([400, 'Error: This link does not work'])
        if (token !== '') expect(page.html).not.toContain(token)
      }
    },
  )

  it.each([
    ['JSON', 415, 'application/json', '{"token": "x"}'],
    ['multipart', 415, 'multipart/form-data; boundary=x', '--x--'],
    ['a large form', 413, 'application/x-www-form-urlencoded', `token=x&password=${'y'.repeat(20_000)}`],
  ])('refuse %s with a page', async (_, status, type, body) => {
    const headers = { 'content-type': type }
    const page = await read(fetch(`${api.apiUrl}/reset-password`, { method: 'POST', body, headers }))
    expect([page.status, titleOf(page)]).toEqual([status, 'Error: This did not work'])
  })

  it('refuse another method as other routes do', async () => {
    const reply = await call(`${api.apiUrl}/reset-password`, { method: 'PUT' })
    expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'GET, POST, HEAD'])
  })

  it('show a limit as a page that lets the user try again', async () => {
    const limited = await startTestApi(releaser, {
      RATE_LIMIT_ENABLED: 'true',
      RATE_LIMIT_PASSWORD_RESET_PER_IP: '1',
    })
    const send = () =>
      fetch(`${limited.apiUrl}/reset-password`, {
        method: 'POST',
        body: new URLSearchParams({ token: 'unknown', password: 'another fine passphrase 9' }),
      })
    await (await send()).text()
    const page = await read(send())
    expect([page.status, titleOf(page)]).toEqual([429, 'Error: Choose a new password'])
    expect(Number(page.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(page.html).toContain('Too many attempts. Try again later.')
  })

  it('do not exist while APP_URL is set', async () => {
    const elsewhere = await startTestApi(releaser, { APP_URL: 'https://app.example.com' })
    for (const path of PATHS)
      for (const method of ['GET', 'POST'])
        expect((await call(`${elsewhere.apiUrl}${path}?token=x`, { method })).status).toBe(404)
  })
})
