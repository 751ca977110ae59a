import { randomUUID } from 'node:crypto'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { createServiceKey } from '@tidings/db/operators/service-keys'
import { type StatusReport, statusEventSchema } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { call, register } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

interface Accepted {
  id: string
  notification_id: string
  notification_type: string
  status: string
  timestamp: string
  error: unknown
}
interface Event {
  id: string
  notification_id: string
  status: string
  timestamp: string
}

const forgedCursor = (time: number) => Buffer.from(`${time} ${randomUUID()}`).toString('base64url')

describe('status routes', () => {
  const releaser = useReleaser()
  let api: TestApi
  let emailKey: string
  let readKey: string

  beforeAll(async () => {
    api = await startTestApi(releaser, { RATE_LIMIT_ENABLED: 'false' })
    emailKey = await api.createKey('status:write:email')
    readKey = await api.createKey('status:read')
  })

  const url = (path: string) => `${api.apiUrl}${path}`
  const store = (reports: Partial<StatusReport>[]) =>
    storeStatusEvents(
      api.database,
      reports.map((report) => makeEvent(report)),
    )

  it.each(['', '/'])(
    'accepts JSON with the form content type of the Django README (path ending %j)',
    async (slash) => {
      const reply = await call<Accepted>(url(`/api/v1/email/status${slash}`), {
        token: emailKey,
        body: { notification_id: 'notif-123', status: 'delivered' },
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      })
      expect(reply.status).toBe(202)
      expect(reply.body.data).toMatchObject({
        notification_id: 'notif-123',
        notification_type: 'email',
        status: 'delivered',
        error: null,
      })
    },
  )

  it('gives a repeat the same id and refuses other content under the same key', async () => {
    const post = (status: string, key: string) =>
      call<Accepted>(url('/api/v1/email/status/'), {
        token: emailKey,
        body: { notification_id: 'n', status },
        headers: { 'idempotency-key': key },
      })
    const key = randomUUID()
    const first = await post('sent', key)
    expect((await post('sent', key)).body.data.id).toBe(first.body.data.id)
    expect(await post('delivered', key)).toMatchObject({ status: 409, body: { error: 'conflict' } })
  })

  it('answers 429 with Retry-After when a service key reports more events than it may', async () => {
    const made = await createServiceKey(api.database, 'limited', ['status:write:email'], {
      eventsPerSecond: 1,
      burst: 3,
    })
    const token = made.outcome === 'created' ? made.key : undefined
    const event = { notification_id: 'n', status: 'sent' }
    const post = () => call(url('/api/v1/email/status/'), { token, body: event })
    expect((await post()).status).toBe(202)
    const batch = await call(url('/api/v1/email/status/batch/'), {
      token,
      body: { events: Array(60).fill(event) },
    })
    expect(batch.status).toBe(202)
    const refused = await post()
    expect(refused).toMatchObject({ status: 429, body: { error: 'rate_limited' } })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(30)
    // Other keys are not concerned.
    expect((await call(url('/api/v1/email/status/'), { token: emailKey, body: event })).status).toBe(202)
  })

  it('validates the events of a batch one by one', async () => {
    const reply = await call<Record<string, unknown>[]>(url('/api/v1/email/status/batch/'), {
      token: emailKey,
      body: {
        events: [
          { notification_id: 'a', status: 'sent' },
          { notification_id: 'b', status: 'failed' },
          'nonsense',
          { notification_id: 'c', status: 'sent', event_id: 'k' },
          { notification_id: 'd', status: 'sent', event_id: 'k' },
        ],
      },
    })
    expect(reply.status).toBe(202)
    expect(reply.body.data).toMatchObject([
      { accepted: true, notification_id: 'a' },
      { accepted: false, error: 'missing_error' },
      { accepted: false, error: 'validation_failed' },
      { accepted: true, notification_id: 'c' },
      { accepted: false, error: 'conflict' },
    ])
  })

  it('refuses only those events of a batch that hold unsafe JSON', async () => {
    const fine = '{"notification_id": "a", "status": "sent"}'
    const bad = [
      '"metadata": {"constructor": "Acme"}',
      '"provider": "a\\u0000"',
      '"provider": "\\ud800"',
    ].map((field) => `{"notification_id": "b", "status": "sent", ${field}}`)
    const deep = `{"notification_id": "b", "status": "sent", "metadata": ${'{"a":'.repeat(500)}1${'}'.repeat(501)}`
    const reply = await fetch(url('/api/v1/email/status/batch/'), {
      method: 'POST',
      headers: { authorization: `Bearer ${emailKey}`, 'content-type': 'application/json' },
      body: `{"events": [${[fine, ...bad, '{"attempt": 1e400}', deep, fine].join(',')}]}`,
    })
    expect(reply.status).toBe(202)
    const { data } = (await reply.json()) as { data: { accepted: boolean; error?: string }[] }
    expect(data.map(({ accepted }) => accepted)).toEqual([true, false, false, false, false, false, true])
    expect(data.slice(1, 6).map(({ error }) => error)).toEqual(Array(5).fill('validation_failed'))
  })

  it('queues a valid event_id for every event of a batch with the longest key', async () => {
    const events = Array.from({ length: 500 }, () => ({ notification_id: 'keyed', status: 'sent' }))
    const reply = await call<{ accepted: boolean }[]>(url('/api/v1/email/status/batch/'), {
      token: emailKey,
      body: { events },
      headers: { 'idempotency-key': 'k'.repeat(124) },
    })
    expect(reply.status).toBe(202)
    const keyed = (await api.listQueued()).filter((event) => event.notification_id === 'keyed')
    expect(keyed).toHaveLength(500)
    for (const event of keyed) expect(statusEventSchema.safeParse(event).success).toBe(true)
  })

  it.each([
    ['an empty batch', { events: [] }],
    [
      'a batch of 501',
      { events: Array.from({ length: 501 }, () => ({ notification_id: 'a', status: 'sent' })) },
    ],
    ['a body without events', {}],
  ])('refuses %s', async (_name, body) => {
    const reply = await call(url('/api/v1/email/status/batch/'), { token: emailKey, body })
    expect(reply).toMatchObject({ status: 400, body: { error: 'validation_failed' } })
  })

  it('requires the scope of the notification type', async () => {
    const body = { notification_id: 'a', status: 'sent' }
    expect((await call(url('/api/v1/push/status/'), { token: emailKey, body })).status).toBe(403)
    expect((await call(url('/api/v1/email/status/'), { body })).status).toBe(401)
    const user = await register(api.apiUrl)
    expect((await call(url('/api/v1/email/status/'), { token: user.token, body })).status).toBe(403)
    expect(await call(url('/api/v1/sms/status/'), { token: emailKey, body })).toMatchObject({
      status: 400,
      body: { error: 'invalid_notification_type' },
    })
  })

  it('shows a notification with its status and its timeline, oldest first', async () => {
    const notification_id = `a/b ${randomUUID()}`
    await store([
      { notification_id, status: 'opened', timestamp: '2026-01-03T00:00:00Z' },
      { notification_id, status: 'delivered', timestamp: '2026-01-02T00:00:00Z' },
      { notification_id, status: 'sent', timestamp: '2026-01-01T00:00:00Z' },
    ])
    const reply = await call<{ status: string; opened_at: string; explain: string; timeline: Event[] }>(
      url(`/api/v1/notifications/${encodeURIComponent(notification_id)}/`),
      { token: readKey },
    )
    expect(reply.body.data).toMatchObject({
      notification_id,
      notification_type: 'email',
      user_id: null,
      status: 'delivered',
      opened_at: '2026-01-03T00:00:00.000Z',
      clicked_at: null,
    })
    expect(reply.body.data.timeline.map((event) => event.status)).toEqual(['sent', 'delivered', 'opened'])
  })

  it('computes the status from all events, also from those it does not show', async () => {
    const opened = Array.from({ length: 1_000 }, (_, second) => ({
      notification_id: 'busy',
      status: 'opened' as const,
      timestamp: new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString(),
    }))
    await store(opened)
    await store([{ notification_id: 'busy', status: 'complained', timestamp: '2026-01-02T00:00:00Z' }])
    const reply = await call<{ timeline: Event[] }>(url('/api/v1/notifications/busy/'), { token: readKey })
    expect(reply.body.data).toMatchObject({ status: 'complained', opened_at: '2026-01-01T00:00:00.000Z' })
    expect(reply.body.data.timeline).toHaveLength(1_000)
  })

  it('shows users only their own notifications, and answers for others as for absent ones', async () => {
    const [owner, stranger] = [await register(api.apiUrl), await register(api.apiUrl)]
    await store([{ notification_id: 'private', user_id: owner.id }])
    const read = (id: string, token: string) => call(url(`/api/v1/notifications/${id}/`), { token })
    expect((await read('private', owner.token)).status).toBe(200)
    const [foreign, absent] = [await read('private', stranger.token), await read('absent', stranger.token)]
    expect(foreign.status).toBe(404)
    const withoutId = (text: string) => text.replace(/"instance":"[^"]*"/, '')
    expect(withoutId(foreign.text)).toBe(withoutId(absent.text))
  })

  it('takes a notification for its id and its type', async () => {
    const [ada, bob] = [await register(api.apiUrl), await register(api.apiUrl)]
    const notification_id = randomUUID()
    await store([{ notification_id, user_id: ada.id }])
    await storeStatusEvents(api.database, [
      makeEvent({ notification_id, user_id: bob.id, status: 'failed', error: 'x' }, 'push'),
    ])
    const read = (token: string, query = '') =>
      call<{ status: string; notification_type: string }>(
        url(`/api/v1/notifications/${notification_id}/${query}`),
        { token },
      )
    expect((await read(readKey, '?type=email')).body.data.status).toBe('delivered')
    expect((await read(readKey, '?type=push')).body.data.status).toBe('failed')
    expect(await read(readKey)).toMatchObject({ status: 400, body: { errors: [{ pointer: '/type' }] } })
    expect(await read(readKey, '?type=fax')).toMatchObject({ status: 400 })
    expect((await read(ada.token)).body.data.notification_type).toBe('email')
    expect((await read(bob.token)).body.data.notification_type).toBe('push')
    expect((await read(bob.token, '?type=email')).status).toBe(404)
  })

  it('shows a notification to its user, whoever later events name', async () => {
    const [owner, stranger] = [await register(api.apiUrl), await register(api.apiUrl)]
    const notification_id = randomUUID()
    await store([{ notification_id, user_id: owner.id }])
    const later = makeEvent({ notification_id, user_id: stranger.id, status: 'complained' })
    expect(await storeStatusEvents(api.database, [later])).toEqual(['other_user'])
    const read = (token: string) =>
      call<{ status: string }>(url(`/api/v1/notifications/${notification_id}/`), { token })
    expect((await read(owner.token)).body.data.status).toBe('delivered')
    expect((await read(stranger.token)).status).toBe(404)
  })

  it('pages through a user’s history, newest first, without gaps or repeats', async () => {
    const user = await register(api.apiUrl)
    const times = Array.from({ length: 7 }, (_, i) =>
      new Date(Date.UTC(2026, 0, 1 + Math.floor(i / 2))).toISOString(),
    )
    await store(
      times.map((timestamp, i) => ({
        user_id: user.id,
        notification_id: `h-${i}`,
        timestamp,
        status: i % 2 === 0 ? 'sent' : 'delivered',
      })),
    )
    const seen: Event[] = []
    let cursor: string | null = null
    do {
      const query: string = cursor === null ? '' : `&cursor=${cursor}`
      const page = await call<Event[]>(url(`/api/v1/status/history/?limit=3${query}`), { token: user.token })
      expect(page.status).toBe(200)
      expect(page.body.meta?.limit).toBe(3)
      seen.push(...page.body.data)
      cursor = page.body.meta?.next_cursor ?? null
      expect(page.body.meta?.has_next).toBe(cursor !== null)
    } while (cursor !== null)
    expect(new Set(seen.map((event) => event.id)).size).toBe(7)
    const inOrder = seen.map((event) => event.timestamp)
    expect(inOrder).toEqual(inOrder.toSorted().toReversed())
    const some = await call<Event[]>(
      url('/api/v1/status/history/?status=sent&type=email&from=2026-01-02T00:00:00Z&to=2026-01-03T00:00:00Z'),
      { token: user.token },
    )
    expect(some.body.data.map((event) => event.notification_id).toSorted()).toEqual(['h-2', 'h-4'])
  })

  it.each([
    ['limit=0', 'validation_failed'],
    ['limit=101', 'validation_failed'],
    ['limit=x', 'validation_failed'],
    ['cursor=nonsense', 'validation_failed'],
    [`cursor=${forgedCursor(-300_000_000_000_000)}`, 'validation_failed'],
    [`cursor=${forgedCursor(300_000_000_000_000)}`, 'validation_failed'],
    ['type=sms', 'validation_failed'],
    ['from=yesterday', 'validation_failed'],
    ['from=2026-01-03T00:00:00Z&to=2026-01-02T00:00:00Z', 'validation_failed'],
    ['status=lost', 'invalid_status'],
  ])('refuses the query %s', async (query, error) => {
    const user = await register(api.apiUrl)
    const reply = await call(url(`/api/v1/status/history/?${query}`), { token: user.token })
    expect(reply).toMatchObject({ status: 400, body: { error } })
  })
})
