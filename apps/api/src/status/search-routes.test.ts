import { randomUUID } from 'node:crypto'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { identifyEvent } from '@tidings/shared/event-identity'
import { foldNotification } from '@tidings/shared/notification-status'
import { type NotificationType, STATUSES_WITH_ERROR, type StatusReport } from '@tidings/shared/status-event'
import { makeEvent, makeReport } from '@tidings/shared/testing/make-event'
import { useReleaser } from '@tidings/stack/testing/test-context'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { call, register } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const RECIPIENT_KEY = 'a secret of this installation'

interface FoundEvent {
  id: string
  notification_id: string
  notification_type: string
  status: string
  timestamp: string
}
type Summary = { status: string; user_id: string | null; explain: string } | null

describe('searching events', () => {
  const releaser = useReleaser()
  let api: TestApi
  let key: string

  beforeAll(async () => {
    api = await startTestApi(releaser, { RECIPIENT_KEY })
    key = await api.createKey('status:read')
  })

  async function store(report: Partial<StatusReport>, type: NotificationType = 'email', source = 'test') {
    const reception = { type, source, receivedAt: new Date(), recipientKey: RECIPIENT_KEY }
    const event = identifyEvent(makeReport(report), reception)
    expect(await storeStatusEvents(api.database, [event])).toEqual(['stored'])
    return event
  }
  async function search(query: Record<string, string>) {
    const reply = await call<FoundEvent[]>(`${api.apiUrl}/api/v1/events/?${new URLSearchParams(query)}`, {
      token: key,
    })
    expect(reply.status, reply.text).toBe(200)
    return reply
  }
  const ids = async (query: Record<string, string>) => (await search(query)).body.data.map(({ id }) => id)

  it('finds the events of a user, a notification, a message of a provider, an error code', async () => {
    const user = await register(api.apiUrl)
    const provider_message_id = `m-${randomUUID()}`
    const fields = { user_id: user.id, provider: 'ses', provider_message_id }
    const error = { code: `E-${randomUUID()}`, message: 'Refused.' }
    const first = await store({ ...fields, status: 'sent', timestamp: '2026-01-01T00:00:00Z' })
    const { notification_id } = first
    const second = await store({
      ...{ ...fields, notification_id, error, status: 'failed', timestamp: '2026-01-02T00:00:00Z' },
    })
    await store({})
    const both = [second.id, first.id]
    expect(await ids({ user_id: user.id.toUpperCase() })).toEqual(both)
    expect(await ids({ notification_id })).toEqual(both)
    expect(await ids({ provider_message_id })).toEqual(both)
    expect(await ids({ provider_message_id, provider: 'ses', status: 'sent' })).toEqual([first.id])
    expect(await ids({ provider_message_id, provider: 'other' })).toEqual([])
    expect(await ids({ error_code: error.code })).toEqual([second.id])
    expect(await ids({ notification_id, to: '2026-01-01T00:00:00Z' })).toEqual([first.id])
    expect(await ids({ notification_id, from: '2026-01-01T00:00:00.001Z' })).toEqual([second.id])
    expect(await ids({ notification_id, type: 'push' })).toEqual([])
  })

  it('finds the events of a recipient by address or token, and shows neither it nor its digest', async () => {
    const mail = await store({ recipient: 'Ada.Lovelace@example.com' })
    const push = await store({ recipient: 'Token-Of-Ada' }, 'push')
    const found = await search({ recipient: ' ada.lovelace@EXAMPLE.com' })
    expect(found.body.data.map(({ id }) => id)).toEqual([mail.id])
    expect(found.text.toLowerCase()).not.toContain('lovelace')
    expect(found.text).not.toContain(mail.recipient_digest)
    expect(found.text).not.toContain('recipient')
    expect(await ids({ recipient: 'Token-Of-Ada' })).toEqual([push.id])
    expect(await ids({ recipient: 'Token-Of-Ada', type: 'email' })).toEqual([])
    expect(await ids({ recipient: 'token-of-ada' })).toEqual([])
  })

  it('takes a prefix of a notification id as it is, with characters that are patterns in SQL', async () => {
    const run = randomUUID()
    const [percent] = [
      await store({ notification_id: `${run}%_1` }),
      await store({ notification_id: `${run}xx1` }),
    ]
    const backslash = await store({ notification_id: `${run}\\1` })
    expect(await ids({ notification_id_prefix: `${run}%` })).toEqual([percent?.id])
    expect(await ids({ notification_id_prefix: `${run}%_` })).toEqual([percent?.id])
    expect(await ids({ notification_id_prefix: `${run}\\` })).toEqual([backslash.id])
    expect(await ids({ notification_id_prefix: run })).toHaveLength(3)
    expect(await ids({ notification_id_prefix: run.slice(1) })).toEqual([])
  })

  it('finds events of a source by time', async () => {
    const event = await store({ timestamp: '2026-02-10T12:00:00Z' }, 'email', 'rare-source')
    const range = { from: '2026-02-01T00:00:00Z', to: '2026-02-28T00:00:00Z' }
    expect(await ids({ ...range, source: 'rare-source' })).toEqual([event.id])
    expect(await ids({ from: new Date(Date.now() - 60_000).toISOString(), source: 'rare-source' })).toEqual(
      [],
    )
  })

  it('refuses a range whose ends are mixed up, in which nothing could be found', async () => {
    for (const more of ['', '&notification_id=n-1']) {
      const range = `from=2026-02-28T00:00:00Z&to=2026-02-01T00:00:00Z${more}`
      const reply = await call(`${api.apiUrl}/api/v1/events/?${range}`, { token: key })
      expect(reply).toMatchObject({ status: 400, body: { error: 'validation_failed' } })
    }
  })

  it('pages newest first, without gaps or repeats, also among events of one time', async () => {
    const notification_id = randomUUID()
    const stored: string[] = []
    for (const day of [1, 1, 1, 2, 2, 3, 3])
      stored.push(
        (await store({ notification_id, timestamp: `2026-01-0${day}T00:00:00Z`, attempt: stored.length })).id,
      )
    const seen: FoundEvent[] = []
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<typeof search>> = await search({
        ...{ notification_id, limit: '2' },
        ...(cursor !== null && { cursor }),
      })
      seen.push(...page.body.data)
      cursor = page.body.meta?.next_cursor ?? null
    } while (cursor !== null)
    expect(seen.map(({ id }) => id).toSorted()).toEqual(stored.toSorted())
    const times = seen.map(({ timestamp }) => timestamp)
    expect(times).toEqual(times.toSorted().reverse())
  })

  const lookUp = (notifications: object[]) =>
    call<Summary[]>(`${api.apiUrl}/api/v1/notifications/lookup/`, { token: key, body: { notifications } })

  it('looks up notifications in order, with null for those without events', async () => {
    const user = await register(api.apiUrl)
    const notification_id = randomUUID()
    await store({ notification_id, status: 'sent', user_id: user.id })
    await store({ notification_id, status: 'bounced', error: { class: 'transient', message: 'Full.' } })
    await store({ notification_id, status: 'delivered', attempt: 2 })
    const asked = { notification_id, notification_type: 'email' }
    const { body } = await lookUp([
      { notification_id: 'absent', notification_type: 'email' },
      asked,
      { notification_id, notification_type: 'push' },
      asked,
    ])
    const summary = { ...asked, status: 'delivered', user_id: user.id }
    expect(body.data).toMatchObject([null, summary, null, summary])
    const read = await call<Summary>(`${api.apiUrl}/api/v1/notifications/${notification_id}/`, { token: key })
    expect(read.body.data).toMatchObject({ ...body.data[1] })
  })

  it('looks up 500 notifications, and one with thousands of events', async () => {
    const events = Array.from({ length: 3_000 }, (_, n) =>
      makeEvent({ notification_id: 'runaway', status: 'opened', attempt: n }),
    )
    await storeStatusEvents(api.database, [
      ...events,
      makeEvent({ notification_id: 'runaway', status: 'complained' }),
    ])
    const asked = Array.from({ length: 499 }, (_, n) => ({
      notification_id: `no-${n}`,
      notification_type: 'push',
    }))
    const { body } = await lookUp([...asked, { notification_id: 'runaway', notification_type: 'email' }])
    expect(body.data).toHaveLength(500)
    expect(body.data.at(-1)).toMatchObject({ status: 'complained' })
    expect(body.data.filter((summary) => summary !== null)).toHaveLength(1)
  })

  it('answers with the fold of all events, whatever they are', async () => {
    const reports = fc.record({
      status: fc.constantFrom('sent', 'deferred', 'failed', 'bounced', 'delivered', 'suppressed', 'opened'),
      attempt: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
      class: fc.constantFrom('transient', 'permanent'),
      second: fc.integer({ min: 10, max: 59 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(reports, { minLength: 1, maxLength: 8 }), async (drawn) => {
        const notification_id = randomUUID()
        const events = drawn.map(({ status, attempt, class: errorClass, second }) =>
          makeEvent({
            ...{ notification_id, status, attempt, timestamp: `2026-01-01T00:00:${second}Z` },
            ...(STATUSES_WITH_ERROR.includes(status) && { error: { class: errorClass, message: 'x' } }),
          } as Partial<StatusReport>),
        )
        const outcomes = await storeStatusEvents(api.database, events)
        const facts = events
          .filter((_, index) => outcomes[index] === 'stored')
          .map((event) => ({
            ...event,
            user_id: null,
            error: event.error ?? null,
            attempt: event.attempt ?? null,
          }))
        const { body } = await lookUp([{ notification_id, notification_type: 'email' }])
        expect(body.data[0]).toMatchObject(foldNotification(facts))
      }),
      { numRuns: 60 },
    )
  })
})
