import { type Database, openDatabase } from '@tidings/db/database'
import { createServiceKey, listServiceKeys, revokeServiceKey } from '@tidings/db/operators/service-keys'
import { withDeadline } from '@tidings/runtime/deadline'
import { createLogger } from '@tidings/runtime/log'
import type { Scope } from '@tidings/shared/service-key'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { startTcpProxy, type TcpProxy } from '@tidings/stack/testing/tcp-proxy'
import { createTestDatabase, type TestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { requireScope } from '../http/authorize.ts'
import { createServiceKeyAuthenticator, type ServiceKeyAuthenticator } from './service-keys.ts'

const log = createLogger('api-test', 'silent')

describe('service keys', () => {
  const releaser = useReleaser()
  let proxy: TcpProxy
  let test: TestDatabase
  let proxied: Database
  beforeAll(async () => {
    test = await createTestDatabase(releaser)
    proxy = await startTcpProxy(test.url, releaser)
    const url = new URL(test.url)
    url.port = String(proxy.port)
    proxied = openDatabase({
      url: url.href,
      applicationName: 'test-proxied',
      maxConnections: 2,
      connectTimeoutMs: 500,
      onError: () => {},
    })
    releaser.onRelease(() => proxied.close())
  })

  let names = 0
  async function create(...scopes: Scope[]) {
    const made = await createServiceKey(test.database, `service-${names++}`, scopes)
    if (made.outcome !== 'created') throw new Error('No key was made')
    return made
  }

  /** Opens an authenticator whose clock the test moves. */
  function open(db: Database): ServiceKeyAuthenticator & { passMs(ms: number): void } {
    let nowMs = 0
    const authenticator = createServiceKeyAuthenticator({ db, log, now: () => nowMs })
    releaser.onRelease(() => authenticator.close())
    return {
      ...authenticator,
      passMs(ms) {
        nowMs += ms
      },
    }
  }

  /** While it runs, no statement on service keys gets an answer. */
  async function whileLocked(run: () => Promise<void>) {
    const client = await test.database.pool.connect()
    try {
      await client.query('BEGIN; LOCK TABLE service_keys IN ACCESS EXCLUSIVE MODE')
      await run()
    } finally {
      await client.query('ROLLBACK')
      client.release()
    }
  }
  /** A status post is answered within a second. The statement that waits for the lock ends after many. */
  const inTime = <Result>(work: Promise<Result>) => withDeadline(work, 1_000, () => new Error('Too late'))
  /** Turns a call that may throw synchronously into a promise. */
  const attempt = async (authenticator: ServiceKeyAuthenticator, key: string) =>
    authenticator.authenticate(key)

  it('identifies a key by name and scopes', async () => {
    const { id, key } = await create('status:read', 'users:read')
    const principal = await attempt(open(test.database), key)
    expect(principal).toMatchObject({ kind: 'service', id, name: `service-${names - 1}` })
    expect(requireScope(principal, 'users:read')).toBe(principal)
    expect(() => requireScope(principal, 'dlq:read')).toThrow(expect.objectContaining({ code: 'forbidden' }))
  })

  it('asks the database once for a hundred concurrent requests', async () => {
    const { key } = await create('status:read')
    const authenticator = open(proxied)
    let queries = 0
    const count = () => queries++
    proxied.pool.on('acquire', count)
    await Promise.all(Array.from({ length: 100 }, () => attempt(authenticator, key)))
    await attempt(authenticator, key)
    proxied.pool.off('acquire', count)
    expect(queries).toBe(1)
  })

  it('refuses an unknown key, and accepts a key that was made later', async () => {
    const authenticator = open(test.database)
    await expect(attempt(authenticator, 'tdk_unknown')).rejects.toMatchObject({ code: 'unauthorized' })
    const { key } = await create('status:read')
    await expect(attempt(authenticator, key)).resolves.toMatchObject({ kind: 'service' })
  })

  it('refuses a revoked key within 30 seconds', async () => {
    const { id, key } = await create('status:read')
    const authenticator = open(test.database)
    await attempt(authenticator, key)
    await revokeServiceKey(test.database, id)
    authenticator.passMs(30_000)
    await expect(attempt(authenticator, key)).rejects.toMatchObject({ code: 'unauthorized' })
  })

  it('accepts a known key while the database is unreachable, and answers unavailable for an unknown one', async () => {
    const { key } = await create('status:read')
    const authenticator = open(proxied)
    await attempt(authenticator, key)
    await proxy.cut()
    authenticator.passMs(60_000)
    await expect(attempt(authenticator, key)).resolves.toMatchObject({ kind: 'service' })
    await expect(attempt(authenticator, 'tdk_unknown')).rejects.toMatchObject({ code: 'unavailable' })
    await proxy.restore()
    await expect(attempt(authenticator, 'tdk_unknown')).rejects.toMatchObject({ code: 'unauthorized' })
  })

  it('accepts a known key at once while the database gives no answer', async () => {
    const { key } = await create('status:read')
    const authenticator = open(proxied)
    await attempt(authenticator, key)
    await whileLocked(async () => {
      authenticator.passMs(60_000)
      await expect(inTime(attempt(authenticator, key))).resolves.toMatchObject({ kind: 'service' })
      await expect(inTime(attempt(authenticator, 'tdk_unknown'))).rejects.toMatchObject({
        code: 'unavailable',
      })
    })
  })

  it('uses an answer of the database that comes too late for the request', async () => {
    const { key } = await create('status:read')
    const authenticator = open(proxied)
    await whileLocked(async () => {
      await expect(attempt(authenticator, key)).rejects.toMatchObject({ code: 'unavailable' })
    })
    await waitFor('the answer', async () => (await attempt(authenticator, key)).kind === 'service')
  })

  it('stores when a key was last used', async () => {
    const { id, key } = await create('status:read')
    const authenticator = createServiceKeyAuthenticator({ db: test.database, log })
    await authenticator.authenticate(key)
    await authenticator.close()
    const used = (await listServiceKeys(test.database)).find((known) => known.id === id)
    expect(used?.lastUsedAt).toBeInstanceOf(Date)
  })
})
