import { generateSigningKey } from '@tidings/shared/signing-keys'
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
import { call, register } from '../testing/http.ts'
import { startTestApi } from '../testing/test-api.ts'

/** The promise is a second. The rest is for a busy machine; without deadlines a post takes over 10 s. */
const ANSWER_LIMIT_MS = 5_000

describeRedis('an API that starts while PostgreSQL does not answer', () => {
  const releaser = useReleaser()
  const JWT_KEYS = JSON.stringify({ keys: [generateSigningKey()] })
  let database: TestDatabase
  let proxy: TcpProxy
  let redis: RedisServer
  /** Used before PostgreSQL went away. */
  let usedKey: string
  let unusedKey: string
  let userToken: string

  const start = (stores: { database: TestDatabase }) =>
    startTestApi(
      releaser,
      { JWT_KEYS },
      { ...stores, backend: { kind: 'redis', url: redis.url, prefix: 'silent' } },
    )

  beforeAll(async () => {
    database = await createTestDatabase(releaser)
    proxy = await startTcpProxy(database.url, releaser)
    redis = await startTestRedis(releaser)
    const before = await start({ database })
    usedKey = await before.createKey()
    unusedKey = await before.createKey()
    expect((await post(before.apiUrl, usedKey)).status).toBe(202)
    userToken = (await register(before.apiUrl)).token
    const connection = releaser.add(new Redis(redis.url), (opened) => opened.disconnect())
    await waitFor(
      'the key in Redis',
      async () => (await connection.keys('silent:cache:service-key:*')).length > 0,
    )
    expect(await connection.keys(`*${usedKey}*`)).toEqual([])
  })

  const proxied = (): TestDatabase => {
    const url = new URL(database.url)
    url.port = String(proxy.port)
    return { ...database, url: url.href }
  }

  async function post(apiUrl: string, token: string) {
    const startedMs = performance.now()
    const reply = await call(`${apiUrl}/api/v1/email/status/`, {
      token,
      body: { notification_id: 'n', status: 'sent' },
    })
    expect(performance.now() - startedMs).toBeLessThan(ANSWER_LIMIT_MS)
    return reply
  }

  it('accepts events of a key that was used before, and refuses others with 503, when it is unreachable', async () => {
    await proxy.cut()
    const api = await start({ database: proxied() })
    expect((await post(api.apiUrl, usedKey)).status).toBe(202)
    expect(await api.listQueued()).toHaveLength(2)
    expect(await post(api.apiUrl, unusedKey)).toMatchObject({ status: 503, body: { error: 'unavailable' } })
    await proxy.restore()
    await waitFor('the other key', async () => (await post(api.apiUrl, unusedKey)).status === 202)
  })

  it('answers every post within a second, also when both stores are silent', async () => {
    const api = await start({ database })
    const client = await database.database.pool.connect()
    try {
      await client.query(
        'BEGIN; LOCK TABLE service_keys, sessions, users, notification_status, event_outbox IN ACCESS EXCLUSIVE MODE',
      )
      expect((await post(api.apiUrl, usedKey)).status).toBe(202)
      // The session may be known from Redis.
      expect([403, 503]).toContain((await post(api.apiUrl, userToken)).status)
      redis.freeze()
      expect((await post(api.apiUrl, usedKey)).status).toBe(503)
      expect((await post(api.apiUrl, 'tdk_unknown')).status).toBe(503)
    } finally {
      redis.thaw()
      await client.query('ROLLBACK')
      client.release()
    }
  })
})
