import { PROVIDERS } from '@tidings/providers/provider'
import type { RedisServer } from '@tidings/stack/servers/redis'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { startTcpProxy, type TcpProxy } from '@tidings/stack/testing/tcp-proxy'
import {
  createTestDatabase,
  describeRedis,
  startTestRedis,
  type TestDatabase,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { beforeAll, expect, it } from 'vitest'
import { startTestApi, type TestApi } from '../testing/test-api.ts'
import { HOOK_VARIABLES, makeHook, postToHook, signRequest, type TestHook } from '../testing/test-hooks.ts'

describeRedis('hooks while a store is away', () => {
  const releaser = useReleaser()
  let database: TestDatabase
  let proxy: TcpProxy
  let redis: RedisServer
  let api: TestApi
  const hooks: TestHook[] = []

  const start = () => {
    const url = new URL(database.url)
    url.port = String(proxy.port)
    return startTestApi(releaser, HOOK_VARIABLES, {
      database: { ...database, url: url.href },
      backend: { kind: 'redis', url: redis.url, prefix: 'hooks' },
    })
  }

  beforeAll(async () => {
    database = await createTestDatabase(releaser)
    proxy = await startTcpProxy(database.url, releaser)
    redis = await startTestRedis(releaser)
    for (const provider of PROVIDERS) hooks.push(await makeHook(database.database, provider))
    api = await start()
    expect(await postToEach(api)).toEqual(PROVIDERS.map(() => 200))
    const connection = releaser.add(new Redis(redis.url), (opened) => opened.disconnect())
    const cached = () => connection.keys('hooks:cache:hook:*')
    await waitFor('the hooks in Redis', async () => (await cached()).length === hooks.length)
    const texts = JSON.stringify(await connection.mget(await cached()))
    for (const { secret } of hooks) expect(texts).not.toContain(JSON.stringify(secret).slice(1, -1))
  })

  const postToEach = ({ apiUrl }: TestApi) =>
    Promise.all(hooks.map(async (hook) => (await postToHook(apiUrl, signRequest(hook))).status))

  it('takes events while PostgreSQL is away, also in an API that starts then', async () => {
    await proxy.cut()
    const later = await start()
    expect(await postToEach(api)).toEqual(PROVIDERS.map(() => 200))
    expect(await postToEach(later)).toEqual(PROVIDERS.map(() => 200))
    const unknown = await makeHook(database.database, 'resend')
    expect((await postToHook(later.apiUrl, signRequest(unknown))).status).toBe(503)
    await proxy.restore()
    await waitFor(
      'the new hook',
      async () => (await postToHook(later.apiUrl, signRequest(unknown))).status === 200,
    )
  })

  it('stores events in PostgreSQL while Redis is away', async () => {
    await redis.kill9()
    expect(await postToEach(api)).toEqual(PROVIDERS.map(() => 200))
    const rows = await database.database.pool.query<{ source: string; status: string }>(
      'SELECT source, status, provider FROM notification_status ORDER BY source',
    )
    expect(rows.rows).toEqual(
      hooks
        .map(({ name, provider }) => ({ source: name, status: 'delivered', provider }))
        .toSorted((a, b) => a.source.localeCompare(b.source)),
    )
  })

  it('asks every provider to send again while both are away', async () => {
    await proxy.cut()
    for (const hook of hooks) {
      const answer = await postToHook(api.apiUrl, signRequest(hook))
      expect([hook.provider, answer.status]).toEqual([hook.provider, 503])
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    await proxy.restore()
  })
})
