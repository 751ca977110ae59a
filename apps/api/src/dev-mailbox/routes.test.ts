import { startMailbox } from '@tidings/stack/dev/mailbox'
import { sendMails } from '@tidings/stack/testing/send-mails'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()

describe('/dev/mailbox', () => {
  let api: TestApi
  let send: (mail: { subject: string; text: string; html: string }) => Promise<unknown>
  let stopMailbox: () => Promise<void>
  beforeAll(async () => {
    const mailbox = await startMailbox()
    stopMailbox = mailbox.close
    api = await startTestApi(releaser, { DEV_MAILBOX_URL: mailbox.url })
    send = (mail) => sendMails(mailbox.smtpUrl, [{ to: 'ann@example.com', ...mail }])
  })
  const get = (path: string) => fetch(`${api.apiUrl}/dev/mailbox${path}`)

  it('shows a page when there is no mail yet', async () => {
    const page = await get('/')
    expect(page.status).toBe(200)
    expect(await page.text()).toContain('No mail yet')
    expect(await (await get('/messages')).json()).toEqual([])
  })

  it('shows the newest mail or the chosen one, escapes everything, and lets no script run', async () => {
    await send({ subject: 'First', text: 'one', html: '<p>one</p>' })
    const attack = '<script>alert(1)</script>"\'&'
    const html = `<html><head></head><body><a href="https://example.com/?token=t">Go</a>${attack}</body></html>`
    await send({ subject: attack, text: `text ${attack}`, html })

    const list = (await (await get('/messages')).json()) as object[]
    expect(list).toMatchObject([{ subject: attack }, { subject: 'First', to: 'ann@example.com' }])
    expect(Object.keys(list[0] ?? {})).toEqual(['to', 'subject', 'text', 'html', 'received_at'])

    const page = await get('')
    const policy = page.headers.get('content-security-policy')
    expect(policy).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/=]+'; frame-src 'self'; img-src data:; base-uri 'none'/,
    )
    const text = await page.text()
    expect(text).not.toContain('<script')
    expect(text).toContain('text &lt;script&gt;alert(1)')
    const frame = /<iframe src="([^"]+)"[^>]* sandbox="allow-popups allow-popups-to-escape-sandbox"/.exec(
      text,
    )?.[1]
    const mail = await fetch(`${api.apiUrl}${frame}`)
    expect(mail.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'.*; sandbox allow-popups /,
    )
    expect(await mail.text()).toContain('<head><base target="_blank"></head><body><a href=')

    const [, older] = [...text.matchAll(/href="\/dev\/mailbox(\/\?message=[\w-]+)"/g)].map(
      ([, path = '']) => path,
    )
    expect(await (await get(older ?? '')).text()).toContain('<h2>First</h2>')
    expect(await (await get('?message=nonsense%00')).text()).toContain('<h2>&lt;script')
  })

  it('answers 404 for another mail, and 503 when the mailbox is gone', async () => {
    expect((await get('/messages/018f2f6a-0000-7000-8000-000000000010/html')).status).toBe(404)
    await stopMailbox()
    expect((await get('/messages')).status).toBe(503)
  })

  it('is not there without DEV_MAILBOX_URL', async () => {
    const other = await startTestApi(releaser)
    for (const path of ['/', '/messages'])
      expect((await fetch(`${other.apiUrl}/dev/mailbox${path}`)).status).toBe(404)
  })
})
