import { openDatabase } from '@tidings/db/database'
import { createLifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { startTcpProxy, type TcpProxy } from '@tidings/stack/testing/tcp-proxy'
import {
  createTestDatabase,
  describeRedis,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { beforeAll, expect, it } from 'vitest'
import type { StatusWorker } from './status-worker.ts'
import { startTestWorker } from './testing/test-worker.ts'

const POLL = { intervalMs: 10, timeoutMs: 30_000 }

describeRedis('a worker without a job', () => {
  const releaser = useReleaser()
  let postgres: TcpProxy
  let redis: Redis
  let worker: StatusWorker

  beforeAll(async () => {
    const { url } = await createTestDatabase(releaser)
    postgres = await startTcpProxy(url, releaser)
    const proxied = new URL(url)
    proxied.port = String(postgres.port)
    const db = openDatabase({
      url: proxied.href,
      applicationName: 'idle',
      maxConnections: 6,
      onError: () => {},
    })
    releaser.onRelease(() => db.close())
    const server = await startTestRedis(releaser)
    redis = releaser.add(new Redis(server.url), (connection) => connection.disconnect())
    const lifecycle = createLifecycle(createLogger('test', 'silent'))
    releaser.onRelease(() => lifecycle.release())
    worker = await startTestWorker({
      db,
      backend: { kind: 'redis', url: server.url, prefix: 'idle' },
      lifecycle,
      timing: { checkIntervalMs: 20, probeIntervalMs: 20 },
    })
    await waitFor('both stores', () => worker.isTakingJobs && worker.isQueueWritable, POLL)
  })

  it('notices that PostgreSQL is away, and that it is back', async () => {
    await postgres.cut()
    await waitFor('the worker to notice', () => !worker.isTakingJobs, POLL)
    expect(worker.isQueueWritable).toBe(true)
    await postgres.restore()
    await waitFor('the worker to take jobs', () => worker.isTakingJobs, POLL)
  })

  it('notices that Redis became a read-only replica, and that it is a primary again', async () => {
    await redis.replicaof('127.0.0.1', 1)
    await waitFor('the worker to notice', () => !worker.isQueueWritable, POLL)
    expect(await redis.ping()).toBe('PONG')
    await redis.replicaof('NO', 'ONE')
    await waitFor('the worker to write again', () => worker.isQueueWritable, POLL)
  })
})
