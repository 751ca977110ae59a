import { MAX_COUNTS } from '@tidings/db/events/status-counts'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { call } from '../testing/http.ts'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

describe('GET /api/v1/stats/', () => {
  const releaser = useReleaser()
  let api: TestApi
  let token: string
  beforeAll(async () => {
    api = await startTestApi(releaser)
    token = await api.createKey('stats:read')
  })

  const read = (query: Record<string, string>) =>
    call<object[]>(`${api.apiUrl}/api/v1/stats/?${new URLSearchParams(query)}`, { token })
  const at = (hour: string, provider: string | undefined, status: 'sent' | 'bounced') => ({
    ...makeEvent({ status, provider, ...(status === 'bounced' && { error: 'gone' }) }),
    received_at: `2026-01-${hour}:30:00.000Z`,
  })

  it('answers nothing sent with null rates, for the last 24 hours', async () => {
    const { status, body } = await read({})
    expect(status).toBe(200)
    const none = { sent: 0, bounced: 0, complained: 0, bounce_rate: null, complaint_rate: null }
    expect(body).toEqual({
      success: true,
      message: 'Statistics.',
      data: [{ count: 0 }],
      meta: {
        from: expect.any(String),
        to: expect.any(String),
        granularity: null,
        group_by: [],
        rates: { email: none, push: none },
      },
    })
  })

  it('counts by hour, day and the groups asked for, with the rates of the whole time', async () => {
    await storeStatusEvents(api.database, [
      at('30T23', 'ses', 'sent'),
      at('31T00', 'ses', 'sent'),
      at('31T00', 'ses', 'bounced'),
      at('31T05', undefined, 'sent'),
    ])
    const time = { from: '2026-01-30T00:00:00Z', to: '2026-02-01T00:00:00+00:00' }
    const byDay = await read({ ...time, granularity: 'day', group_by: 'provider,status' })
    expect(byDay.body.data).toEqual([
      { start: '2026-01-30T00:00:00Z', provider: 'ses', status: 'sent', count: 1 },
      { start: '2026-01-31T00:00:00Z', provider: 'ses', status: 'bounced', count: 1 },
      { start: '2026-01-31T00:00:00Z', provider: 'ses', status: 'sent', count: 1 },
      { start: '2026-01-31T00:00:00Z', provider: null, status: 'sent', count: 1 },
    ])
    expect(byDay.body.meta).toMatchObject({
      from: '2026-01-30T00:00:00.000Z',
      granularity: 'day',
      group_by: ['provider', 'status'],
      rates: { email: { sent: 3, bounced: 1, bounce_rate: 1 / 3, complaint_rate: 0 } },
    })
    expect((await read({ ...time, group_by: 'type' })).body.data).toEqual([{ type: 'email', count: 4 }])
    expect((await read({ ...time, granularity: 'hour' })).body.data).toHaveLength(3)
  })

  it('needs the scope stats:read', async () => {
    token = await api.createKey('status:read')
    expect((await read({})).status).toBe(403)
    token = await api.createKey('stats:read')
  })

  it('refuses more counts than fit into an answer', async () => {
    await api.database.pool.query(
      `INSERT INTO status_counts (hour, notification_type, status, source, provider, category, error_class, slot, count)
       SELECT '2025-06-01T00:00:00Z', 'email', 'sent', 'source ' || n, '', '', '', 0, 1
       FROM generate_series(1, ${MAX_COUNTS + 1}) AS n`,
    )
    const { status, body } = await read({
      from: '2025-06-01T00:00:00Z',
      to: '2025-06-02T00:00:00Z',
      group_by: 'source',
    })
    expect([status, body]).toMatchObject([
      400,
      { error: 'validation_failed', errors: [{ pointer: '/group_by' }] },
    ])
  })
})
