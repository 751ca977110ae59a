import { storeStatusEvents } from '@tidings/db/events/status-events'
import { setCategory } from '@tidings/db/suppressions/categories'
import { identifyEvent } from '@tidings/shared/event-identity'
import { digestRecipient } from '@tidings/shared/recipient'
import type { Scope } from '@tidings/shared/service-key'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { call, register, TEST_PASSWORD } from '../testing/http.ts'
import { startTestApi, TEST_RECIPIENT_KEY, type TestApi } from '../testing/test-api.ts'

const releaser = useReleaser()
const ABSENT = '0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee'
const IMPORTED = '0199aaaa-bbbb-7ccc-8ddd-ffffffffffff'
let api: TestApi
let url: string
let operator: string
let reader: string
beforeAll(async () => {
  api = await startTestApi(releaser)
  url = `${api.apiUrl}/api/v1/suppressions/`
  operator = await api.createKey('suppressions:read', 'suppressions:write')
  reader = await api.createKey('users:read')
  for (const category of [
    { key: 'newsletter', default: true, required: false },
    { key: 'offers', default: false, required: false },
    { key: 'receipts', default: true, required: true },
  ])
    await setCategory(api.database, category, {
      actor: 'ops',
      action: 'categories.set',
      selector: {},
      matched: 1,
      changed: 1,
      result: 'done',
    })
})
beforeEach(() => api.database.pool.query('TRUNCATE suppressions, operator_audit'))

type Listed = Record<string, unknown>[]
const digestOf = (recipient: string, channel: 'email' | 'push' = 'email') =>
  digestRecipient(TEST_RECIPIENT_KEY, channel, recipient)
const add = (body: object, token = operator) => call<Listed>(url, { token, body })
const lift = (body: object) => call<Listed>(url, { method: 'DELETE', token: operator, body })
const list = (query = '') => call<Listed>(`${url}${query}`, { token: operator })
const audit = async () =>
  (await api.database.pool.query('SELECT actor, action, selector, changed FROM operator_audit ORDER BY id'))
    .rows

describe('suppressions', () => {
  it('are added once, shown as digests, and audited', async () => {
    const reply = await add({ channel: 'email', recipient: ' Ann@Example.com', note: 'by phone' })
    expect(reply.status, reply.text).toBe(201)
    const suppression = {
      id: expect.any(String),
      channel: 'email',
      digest: digestOf('ann@example.com'),
      category: null,
      reason: 'manual',
      origin: expect.stringMatching(/^test-/),
      event_id: null,
      note: 'by phone',
      since: expect.stringMatching(/Z$/),
      until: null,
    }
    expect(reply.body.data).toEqual([suppression])
    expect((await add({ channel: 'email', recipient: 'ann@example.com' })).status).toBe(200)
    expect((await list()).body.data).toEqual([suppression])
    expect(await audit()).toMatchObject([
      { action: 'suppressions.add', changed: 1, selector: { digests: [digestOf('ann@example.com')] } },
      { action: 'suppressions.add', changed: 0 },
    ])
    expect(JSON.stringify([await audit(), (await list()).text])).not.toMatch(/ann@/i)
  })

  it('are listed newest first, by channel, reason and digest, in pages', async () => {
    for (let n = 0; n < 5; n++)
      await add({ channel: 'email', recipient: `u${n}@example.com`, reason: n === 0 ? 'bounce' : 'manual' })
    await add({ channel: 'push', recipient: 'token' })
    const first = await list('?limit=2&channel=email')
    const second = await list(`?limit=9&channel=email&cursor=${first.body.meta?.next_cursor}`)
    expect([...first.body.data, ...second.body.data].map(({ digest }) => digest)).toEqual(
      [4, 3, 2, 1, 0].map((n) => digestOf(`u${n}@example.com`)),
    )
    expect((await list('?reason=bounce')).body.data).toHaveLength(1)
    expect((await list('?channel=push')).body.data).toMatchObject([{ digest: digestOf('token', 'push') }])
    expect((await list(`?digest=${digestOf('u3@example.com')}`)).body.data).toHaveLength(1)
  })

  it('end at `until`, and by themselves', async () => {
    const until = new Date(Date.now() + 60_000).toISOString()
    const longer = new Date(Date.now() + 120_000).toISOString()
    await add({ channel: 'email', recipient: 'a@example.com', until })
    expect(
      (await add({ channel: 'email', recipient: 'a@example.com', until: longer })).body.data,
    ).toMatchObject([{ until: longer }])
    expect((await add({ channel: 'email', recipient: 'a@example.com', until })).status).toBe(200)
    await api.database.pool.query(`UPDATE suppressions SET until = now() - interval '1 s'`)
    expect((await list()).body.data).toEqual([])
  })

  it('are lifted by recipient, digest or user; a complaint wants a note', async () => {
    const user = await register(api.apiUrl)
    for (const reason of ['bounce', 'complaint', 'unsubscribe'])
      expect((await add({ channel: 'email', user_id: user.id, reason })).status).toBe(201)
    const byReason = await lift({ channel: 'email', digest: digestOf(user.email), reason: 'bounce' })
    expect(byReason.body.data).toMatchObject([{ reason: 'bounce' }])
    const refused = await lift({ channel: 'email', recipient: user.email })
    expect([refused.status, refused.body.errors?.[0]?.pointer]).toEqual([400, '/note'])
    const both = await lift({ channel: 'email', user_id: user.id, note: 'asked to be mailed again' })
    expect(both.body.data.map(({ reason }) => reason).sort()).toEqual(['complaint', 'unsubscribe'])
    expect((await lift({ channel: 'email', user_id: user.id })).status).toBe(404)
    expect((await audit()).filter((row) => row.action === 'suppressions.lift')).toMatchObject([
      { changed: 1 },
      { changed: 2, selector: { note: 'asked to be mailed again' } },
    ])
  })

  it('are checked for recipients and users, in their order', async () => {
    const user = await register(api.apiUrl, { push_token: 'token-checked' })
    const free = await register(api.apiUrl)
    await add({ channel: 'email', user_id: user.id, reason: 'unsubscribe' })
    await add({ channel: 'email', recipient: user.email, reason: 'bounce' })
    const check = async (body: object) =>
      (await call<Listed>(`${url}check/`, { token: operator, body })).body.data
    const none = { suppressed: false, reason: null, since: null, until: null }
    expect(
      await check({ channel: 'email', recipients: ['x@example.com', user.email.toUpperCase()] }),
    ).toEqual([
      { user_id: null, digest: digestOf('x@example.com'), ...none },
      {
        user_id: null,
        digest: digestOf(user.email),
        suppressed: true,
        reason: 'bounce',
        since: expect.any(String),
        until: null,
      },
    ])
    expect(await check({ channel: 'email', user_ids: [free.id, user.id, ABSENT] })).toMatchObject([
      { user_id: free.id, suppressed: false },
      { user_id: user.id, suppressed: true },
      { user_id: ABSENT, digest: null, suppressed: false },
    ])
    expect(await check({ channel: 'push', user_ids: [user.id, free.id] })).toMatchObject([
      { digest: digestOf('token-checked', 'push'), suppressed: false },
      { digest: null, suppressed: false },
    ])
    await add({ channel: 'email', recipient: 'y@example.com', category: 'newsletter', reason: 'unsubscribe' })
    const ofCategory = { channel: 'email', recipients: ['y@example.com'] }
    expect(await check(ofCategory)).toMatchObject([{ suppressed: false }])
    expect(await check({ ...ofCategory, category: 'newsletter' })).toMatchObject([{ suppressed: true }])
  })

  it('need their scopes', async () => {
    const onlyRead = await api.createKey('suppressions:read')
    const onlyWrite = await api.createKey('suppressions:write')
    expect((await add({ channel: 'email', recipient: 'a@example.com' }, onlyRead)).status).toBe(403)
    expect((await call(url, { token: onlyWrite })).status).toBe(403)
    expect((await call(url)).status).toBe(401)
    expect((await call(url, { token: (await register(api.apiUrl)).token })).status).toBe(403)
  })
})

describe('what a sender is told', () => {
  interface Answer {
    preferences: object
    deliverable: object
    reasons: { email: string | null; push: string | null }
    devices: { device_id: string }[]
  }
  const ask = async (id: string, category?: string) => {
    const query = category === undefined ? '' : `?category=${category}`
    const one = await call<Answer>(`${api.apiUrl}/api/v1/users/${id}/preferences/${query}`, { token: reader })
    const batch = await call<Answer[]>(`${api.apiUrl}/api/v1/users/preferences/batch/`, {
      token: reader,
      body: { user_ids: [ABSENT, id], category },
    })
    expect(one.status, one.text).toBe(200)
    expect(batch.body.data[1]).toEqual(one.body.data)
    return one.body.data
  }
  const reasons = async (id: string, category?: string) => (await ask(id, category)).reasons

  it.each(['complaint', 'bounce', 'manual', 'unsubscribe'])(
    'names %s at once, and keeps the choice',
    async (reason) => {
      const user = await register(api.apiUrl, { push_token: `token-${reason}` })
      expect(await reasons(user.id)).toEqual({ email: null, push: null })
      await add({ channel: 'email', recipient: user.email, reason })
      await add({ channel: 'push', recipient: `token-${reason}`, reason })
      const answer = await ask(user.id)
      expect(answer).toMatchObject({
        preferences: { email: true, push: true },
        deliverable: { email: false, push: false },
        reasons: { email: `suppressed_${reason}`, push: `suppressed_${reason}` },
      })
      await lift({ channel: 'email', recipient: user.email, note: 'again' })
      expect(await reasons(user.id)).toEqual({ email: null, push: `suppressed_${reason}` })
    },
  )

  it('the most serious reason counts, and a new token is free', async () => {
    const user = await register(api.apiUrl, { push_token: 'old-token' })
    for (const reason of ['unsubscribe', 'bounce'])
      await add({ channel: 'push', recipient: 'old-token', reason })
    expect((await reasons(user.id)).push).toBe('suppressed_bounce')
    await call(`${api.apiUrl}/api/v1/users/me/`, {
      method: 'PATCH',
      token: user.token,
      body: { push_token: 'new-token' },
    })
    expect((await reasons(user.id)).push).toBeNull()
  })

  it('an event that the worker stores counts at once, in every replica', async () => {
    const user = await register(api.apiUrl)
    expect((await reasons(user.id)).email).toBeNull()
    const bounce = identifyEvent(
      { notification_id: 'n', status: 'bounced', error: 'no such mailbox', recipient: user.email },
      {
        type: 'email',
        source: 'hook',
        receivedAt: new Date(),
        recipientKey: TEST_RECIPIENT_KEY,
        feedback: true,
      },
    )
    await storeStatusEvents(api.database, [bounce], { recipientKey: TEST_RECIPIENT_KEY })
    expect((await reasons(user.id)).email).toBe('suppressed_bounce')
  })

  it('leave out a device at once whose token is not registered or is suppressed, until the app registers it', async () => {
    const user = await register(api.apiUrl)
    const put = (device: string) =>
      call(`${api.apiUrl}/api/v1/users/me/devices/${device}/`, {
        method: 'PUT',
        token: user.token,
        body: { platform: 'fcm', token: `token-of-${device}` },
      })
    for (const device of ['tablet', 'watch', 'phone']) await put(device)
    const devices = async () => (await ask(user.id)).devices.map(({ device_id }) => device_id)
    expect(await devices()).toEqual(['phone', 'watch', 'tablet'])
    const report = async (recipient: string, code: string) => {
      const gone = identifyEvent(
        {
          notification_id: 'n',
          user_id: user.id,
          status: 'failed',
          error: { code, message: 'x' },
          recipient,
        },
        {
          type: 'push',
          source: 'hook',
          receivedAt: new Date(),
          recipientKey: TEST_RECIPIENT_KEY,
          feedback: true,
        },
      )
      await storeStatusEvents(api.database, [gone], { recipientKey: TEST_RECIPIENT_KEY })
    }
    await report('token-of-phone', 'UNREGISTERED')
    expect(await devices()).toEqual(['watch', 'tablet'])
    await add({ channel: 'push', recipient: 'token-of-watch' })
    expect(await devices()).toEqual(['tablet'])
    await report('token-of-tablet', 'BadDeviceToken')
    expect((await reasons(user.id)).push).toBe('suppressed_manual')
    await lift({ channel: 'push', recipient: 'token-of-watch' })
    await report('token-of-watch', 'UNREGISTERED')
    expect(await ask(user.id)).toMatchObject({ reasons: { push: 'no_push_token' }, devices: [] })
    await put('phone')
    expect(await devices()).toEqual(['phone'])
  })

  it('an address stays suppressed when its user is erased and registers again', async () => {
    const user = await register(api.apiUrl, { email: 'again@example.com' })
    await add({
      channel: 'email',
      user_id: user.id,
      reason: 'complaint',
      note: 'Again@example.com wrote to us',
    })
    await add({ channel: 'email', recipient: 'other@example.com', note: 'nobody' })
    const erased = await call(`${api.apiUrl}/api/v1/users/me/`, {
      method: 'DELETE',
      token: user.token,
      body: { password: TEST_PASSWORD },
    })
    expect(erased.status).toBe(200)
    expect((await list()).body.data.map(({ note }) => note)).toEqual(['nobody', null])
    const { id } = await register(api.apiUrl, { email: 'again@example.com' })
    expect((await reasons(id)).email).toBe('suppressed_complaint')
    // As an import does, in Django's spelling.
    await api.database.pool.query('DELETE FROM users WHERE id = $1', [id])
    await api.database.pool.query(
      `INSERT INTO users (id, email, name, password) VALUES ($1, 'Again@example.com', 'A', '!')`,
      [IMPORTED],
    )
    expect((await reasons(IMPORTED)).email).toBe('suppressed_complaint')
  })

  describe('for a category', () => {
    const choose = (token: string, preferences: object) =>
      call<{ preferences: object }>(`${api.apiUrl}/api/v1/users/me/`, {
        method: 'PATCH',
        token,
        body: { preferences },
      })

    it('the choice counts, then the default; the old fields stay', async () => {
      const user = await register(api.apiUrl, { push_token: 'token-choice' })
      expect(await reasons(user.id, 'newsletter')).toEqual({ email: null, push: null })
      expect(await reasons(user.id, 'offers')).toEqual({
        email: 'opted_out_category',
        push: 'opted_out_category',
      })
      await choose(user.token, { categories: { newsletter: { email: false } } })
      const changed = await choose(user.token, {
        categories: { newsletter: { push: true }, offers: { email: true } },
      })
      const categories = { newsletter: { email: false, push: true }, offers: { email: true } }
      expect(changed.body.data.preferences).toEqual({ email: true, push: true, categories })
      expect(await reasons(user.id, 'newsletter')).toEqual({ email: 'opted_out_category', push: null })
      expect(await reasons(user.id, 'offers')).toEqual({ email: null, push: 'opted_out_category' })
      expect(await reasons(user.id)).toEqual({ email: null, push: null })
      expect((await ask(user.id)).preferences).toEqual({ email: true, push: true, categories })
      await choose(user.token, { email: false })
      expect((await reasons(user.id, 'offers')).email).toBe('opted_out')
    })

    it('a required one ignores opting out and unsubscribing, not bounces', async () => {
      const user = await register(api.apiUrl)
      await choose(user.token, { email: false, categories: { receipts: { email: false } } })
      await add({ channel: 'email', recipient: user.email, reason: 'unsubscribe' })
      expect((await reasons(user.id, 'receipts')).email).toBeNull()
      await add({ channel: 'email', recipient: user.email, reason: 'bounce' })
      expect((await reasons(user.id, 'receipts')).email).toBe('suppressed_bounce')
    })

    it('unsubscribing from it leaves the others', async () => {
      const user = await register(api.apiUrl)
      await add({ channel: 'email', recipient: user.email, category: 'newsletter', reason: 'unsubscribe' })
      expect((await reasons(user.id, 'newsletter')).email).toBe('suppressed_unsubscribe')
      expect((await reasons(user.id, 'receipts')).email).toBeNull()
      expect((await reasons(user.id)).email).toBeNull()
    })

    it('an unknown one is refused', async () => {
      const user = await register(api.apiUrl)
      const path = `${api.apiUrl}/api/v1/users/${user.id}/preferences/?category=newsleter`
      expect((await call(path, { token: reader })).body.errors).toMatchObject([{ pointer: '/category' }])
      expect((await choose(user.token, { categories: { unknown: { email: true } } })).status).toBe(400)
    })
  })
})

it('feedback of a key counts only with feedback:write', async () => {
  const user = await register(api.apiUrl)
  const report = { status: 'complained', recipient: user.email, feedback: '0'.repeat(32) }
  const send = async (notification_id: string, ...scopes: Scope[]) => {
    const token = await api.createKey('status:write:email', ...scopes)
    await call(`${api.apiUrl}/api/v1/email/status/`, { token, body: { ...report, notification_id } })
  }
  await send('forged')
  await send('trusted', 'feedback:write')
  const queued = await api.listQueued()
  expect(queued.map((event) => [event.notification_id, event.feedback]).sort()).toEqual([
    ['forged', undefined],
    ['trusted', expect.stringMatching(/^[0-9a-f]{32}$/)],
  ])
})
