import { setCategory } from '@tidings/db/suppressions/categories'
import { DEFAULT_RECIPIENT_KEY, digestRecipient } from '@tidings/shared/recipient'
import { useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { call, register } from '../testing/http.ts'
import { startTestApi, TEST_RECIPIENT_KEY, type TestApi } from '../testing/test-api.ts'
import { createUnsubscribeTokens } from './unsubscribe-tokens.ts'

interface Link {
  user_id: string | null
  url: string
  headers: Record<string, string>
}

describe('unsubscribe links', () => {
  const releaser = useReleaser()
  let api: TestApi
  let sender: string
  beforeAll(async () => {
    api = await startTestApi(releaser, { API_URL: 'https://api.example.com/tidings/' })
    sender = await api.createKey('users:read')
    await setCategory(
      api.database,
      { key: 'newsletter', default: true, required: false },
      { actor: 'ops', action: 'categories.set', selector: {}, matched: 1, changed: 1, result: 'done' },
    )
  })
  beforeEach(() => api.database.pool.query('TRUNCATE suppressions'))

  const mint = (links: object[], token = sender) =>
    call<Link[]>(`${api.apiUrl}/api/v1/unsubscribe-links/`, { token, body: { links } })
  /** The address of a link in this test: a proxy would strip the path before it. */
  const here = (url: string) => url.replace('https://api.example.com/tidings', api.apiUrl)
  const mintOne = async (link: object) => {
    const [first] = (await mint([link])).body.data
    if (first === undefined) throw new Error('No link was made')
    return { ...first, url: here(first.url) }
  }
  const stored = async () =>
    (
      await api.database.pool.query(
        `SELECT encode(recipient_digest, 'hex') AS digest, category, reason, origin FROM suppressions ORDER BY since`,
      )
    ).rows
  const digestOf = (address: string) => digestRecipient(TEST_RECIPIENT_KEY, 'email', address)

  it('are refused for a required category: its messages would still be sent', async () => {
    await setCategory(
      api.database,
      { key: 'receipts', default: true, required: true },
      { actor: 'ops', action: 'categories.set', selector: {}, matched: 1, changed: 1, result: 'done' },
    )
    const recipient = 'ann@example.com'
    const reply = await mint([
      { recipient },
      { recipient, category: 'newsletter' },
      { recipient, category: 'receipts' },
    ])
    expect(reply.status).toBe(400)
    expect(reply.text).toContain('A required category has no link to unsubscribe: receipts.')
  })

  it('come with the header lines of RFC 8058, and hold no address', async () => {
    const user = await register(api.apiUrl)
    const reply = await mint([
      { user_id: user.id, category: 'newsletter' },
      { recipient: 'Ann@example.com' },
      { user_id: '00000000-0000-4000-8000-000000000000' },
    ])
    expect(reply.status, reply.text).toBe(200)
    const [ofUser, ofAddress, ofNobody] = reply.body.data
    expect(ofUser).toEqual({
      user_id: user.id,
      url: expect.stringMatching(/^https:\/\/api\.example\.com\/tidings\/u\/[\w-]+$/),
      headers: {
        'List-Unsubscribe': `<${ofUser?.url}>`,
        'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      },
    })
    expect(ofAddress?.user_id).toBeNull()
    expect(ofNobody).toEqual({
      user_id: '00000000-0000-4000-8000-000000000000',
      url: null,
      headers: null,
    })
    for (const link of [ofUser, ofAddress]) {
      const token = link?.url.split('/').at(-1) ?? ''
      expect(Buffer.from(token, 'base64url').toString('latin1')).not.toMatch(/example/)
    }
    expect((await mint([{ recipient: 'a' }], await api.createKey('status:read'))).status).toBe(403)
  })

  it.each([
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 'List-Unsubscribe=One-Click'],
    [
      'a form in parts',
      { 'content-type': 'multipart/form-data; boundary=b' },
      '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
    ],
    ['nothing', {}, ''],
  ])(
    'unsubscribe with one POST of %s, without cookie or redirect, as often as one likes',
    async (_what, headers, body) => {
      const { url } = await mintOne({ recipient: 'Ann@example.com', category: 'newsletter' })
      for (let n = 0; n < 2; n++) {
        const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'manual' })
        expect(answer.status).toBe(200)
        expect(answer.headers.getSetCookie()).toEqual([])
        expect(await answer.text()).toContain('You are unsubscribed')
      }
      expect(await stored()).toEqual([
        {
          digest: digestOf('ann@example.com'),
          category: 'newsletter',
          reason: 'unsubscribe',
          origin: 'unsubscribe-link',
        },
      ])
    },
  )

  it('a GET changes nothing and shows a button', async () => {
    const { url } = await mintOne({ recipient: 'ann@example.com', category: 'newsletter' })
    const answer = await fetch(`${url}/`)
    const page = await answer.text()
    expect(answer.status).toBe(200)
    expect(page).toContain('<html lang="en">')
    expect(page).toContain('<form method="post">')
    expect(page).toContain('<button type="submit">Unsubscribe</button>')
    expect(page).toContain('“newsletter”')
    expect(page).not.toMatch(/<script|https?:\/\//)
    expect(answer.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'$/,
    )
    expect(answer.headers.get('x-robots-tag')).toContain('noindex')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
    expect((await fetch(url, { method: 'HEAD' })).status).toBe(200)
    expect(await stored()).toEqual([])
  })

  it('a link for a user suppresses the address of the user', async () => {
    const user = await register(api.apiUrl)
    await fetch((await mintOne({ user_id: user.id })).url, { method: 'POST' })
    const asked = await call<{ reasons: object; preferences: object }>(
      `${api.apiUrl}/api/v1/users/${user.id}/preferences/`,
      { token: sender },
    )
    expect(asked.body.data).toMatchObject({
      preferences: { email: true },
      reasons: { email: 'suppressed_unsubscribe' },
    })
  })

  it('a changed link gets a page with 404, and changes nothing', async () => {
    const { url } = await mintOne({ recipient: 'ann@example.com', category: 'newsletter' })
    const base = url.slice(0, url.lastIndexOf('/') + 1)
    const token = url.slice(base.length)
    const other = createUnsubscribeTokens('another recipient key')
    const forged = [
      token.slice(0, -1),
      `${token}A`,
      `${token}=`,
      token.replace(/^./, 'B'),
      other?.sign({ digest: digestOf('ann@example.com'), category: null }) ?? '',
      'x',
      'A'.repeat(5_000),
    ]
    for (const each of forged)
      for (const method of ['GET', 'POST']) {
        const answer = await fetch(`${base}${each}`, { method })
        expect([each, answer.status, answer.headers.get('content-type')]).toEqual([
          each,
          404,
          'text/html; charset=utf-8',
        ])
        expect(await answer.text()).toContain('This link does not work')
      }
    expect(await stored()).toEqual([])
  })

  it('need a key of their own', async () => {
    const insecure = await startTestApi(
      releaser,
      { RECIPIENT_KEY: DEFAULT_RECIPIENT_KEY },
      { database: api, backend: api.backend },
    )
    const reply = await call(`${insecure.apiUrl}/api/v1/unsubscribe-links/`, {
      token: sender,
      body: { links: [{ recipient: 'a@example.com' }] },
    })
    expect([reply.status, reply.body.message]).toEqual([
      503,
      'Unsubscribe links need a secret RECIPIENT_KEY. Ask the operator to set it.',
    ])
  })
})

describe('unsubscribe tokens', () => {
  const tokens = createUnsubscribeTokens('a key for tokens')
  const digest = fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .map((bytes) => Buffer.from(bytes).toString('hex'))
  const category = fc.option(fc.stringMatching(/^[a-z0-9][a-z0-9_.-]{0,63}$/))

  it('read as what was signed, and not after any change', () => {
    fc.assert(
      fc.property(digest, category, fc.nat(), fc.integer({ min: 1, max: 255 }), (id, kind, place, change) => {
        const signed = tokens?.sign({ digest: id, category: kind }) ?? ''
        expect(tokens?.read(signed)).toEqual({ digest: id, category: kind })
        const bytes = Buffer.from(signed, 'base64url')
        const index = place % bytes.length
        bytes.writeUInt8(bytes.readUInt8(index) ^ change, index)
        expect(tokens?.read(bytes.toString('base64url'))).toBeUndefined()
      }),
    )
  })
})
