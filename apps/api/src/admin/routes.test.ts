import { openQueue, openRedis } from '@tidings/queue/backend'
import { makeDeath } from '@tidings/queue/dead-letter-fixtures'
import { buryEvents } from '@tidings/queue/dead-letters'
import { DEAD_LETTER_QUEUE } from '@tidings/queue/policy'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { createReleaser } from '@tidings/stack/releaser'
import { createTestBackend, describeBackends, useReleaser } from '@tidings/stack/test-context'
import { beforeAll, expect, test } from 'vitest'
import { startTestApi, type TestApi } from '../testing/test-api.ts'

const ENTRY_ID = 'dead-0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee'

describeBackends('/admin/queues', (kind) => {
  const releaser = useReleaser()
  let api: TestApi
  let reader: string
  let writer: string
  let stranger: string

  beforeAll(async () => {
    const redisBackend = kind === 'redis' ? await createTestBackend('redis', releaser) : undefined
    const variables: Record<string, string> =
      redisBackend?.kind === 'redis'
        ? { QUEUE_BACKEND: 'redis', REDIS_URL: redisBackend.url, QUEUE_PREFIX: redisBackend.prefix }
        : {}
    api = await startTestApi(releaser, { ADMIN_UI_ENABLED: 'true', ...variables })
    const onError = () => undefined
    const backend = redisBackend ?? api.backend
    const redis = backend.kind === 'redis' ? openRedis(backend.url, 'patient', onError) : undefined
    releaser.onRelease(() => redis?.disconnect())
    const dead = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
    releaser.onRelease(() => dead.close())
    await buryEvents(dead, [
      makeDeath({ eventId: ENTRY_ID.slice(5), fields: { metadata: { to: 'grace@example.com' } } }),
      makeDeath(),
    ])
    reader = await api.createKey('dlq:read')
    writer = await api.createKey('dlq:read', 'dlq:write')
    stranger = await api.createKey('status:read')
  })

  const request = (path: string, key?: string, init: RequestInit = {}) =>
    fetch(`${api.apiUrl}/admin/queues${path}`, {
      ...init,
      headers: { ...init.headers, ...(key && { authorization: `Basic ${btoa(`ops:${key}`)}` }) },
    })
  const remove = (key: string, headers: Record<string, string> = {}) =>
    request(`/api/queues/${DEAD_LETTER_QUEUE}/${ENTRY_ID}/clean`, key, { method: 'PUT', headers })

  test('asks for a password, and takes no other than a key with dlq:read', async () => {
    for (const path of ['/', '/api/queues', '/static/favicon-32x32.png']) {
      const open = await request(path)
      expect(open.status).toBe(401)
      expect(open.headers.get('www-authenticate')).toMatch(/^Basic realm=/)
      expect((await request(path, 'tdk_wrong')).status).toBe(401)
      expect((await request(path, stranger)).status).toBe(403)
    }
  })

  test('shows both queues, with addresses masked', async () => {
    expect((await request('/', reader)).headers.get('content-type')).toContain('text/html')
    const response = await request(`/api/queues?activeQueue=${DEAD_LETTER_QUEUE}&status=prioritized`, reader)
    const text = await response.text()
    expect(response.status).toBe(200)
    expect(text).toContain('"name":"status-events"')
    expect(text).toContain(ENTRY_ID)
    expect(text).not.toContain('grace@example.com')
  })

  test('serves its own files and nothing else', async () => {
    const page = await (await request('/', reader)).text()
    const script = /src="([^"]+\.js)"/.exec(page)?.[1]
    const found = await fetch(new URL(script ?? '', `${api.apiUrl}/admin/queues/`), {
      headers: { authorization: `Basic ${btoa(`ops:${reader}`)}` },
    })
    expect(found.headers.get('content-type')).toContain('javascript')
    for (const path of ['/static/../package.json', '/static/%2e%2e/package.json', '/static/nope.js'])
      expect((await request(path, reader)).headers.get('content-type')).not.toMatch(/json|javascript/)
  })

  test('dlq:read changes nothing; dlq:write changes only what the books can follow', async () => {
    expect((await remove(reader)).status).toBe(403)
    expect((await remove(writer, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    for (const path of [
      `/${DEAD_LETTER_QUEUE}/empty`,
      '/status-events/obliterate',
      '/status-events/clean/failed',
    ])
      expect((await request(`/api/queues${path}`, writer, { method: 'PUT' })).status).toBe(403)
    expect((await remove(writer, { 'sec-fetch-site': 'same-origin' })).ok).toBe(true)
    const { rows } = await api.database.pool.query('SELECT action, changed, selector FROM operator_audit')
    expect(rows).toEqual([{ action: 'dlq.delete', changed: 1, selector: { ids: [ENTRY_ID], via: 'board' } }])
  })
})

test('is not there unless it is enabled', async () => {
  const releaser = createReleaser()
  const api = await startTestApi(releaser)
  expect((await fetch(`${api.apiUrl}/admin/queues/`)).status).toBe(404)
  await releaser.release()
})
