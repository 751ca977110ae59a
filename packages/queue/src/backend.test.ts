import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { startTcpProxy } from '@tidings/stack/testing/tcp-proxy'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  describeRedis,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'
import { openQueue, openWorker, prepareQueueBackend, type QueueBackend } from './backend.ts'
import { openRedis } from './open-redis.ts'

/** Much shorter than the real silence limit. */
const LIMIT_MS = 2_500

describeRedis('a command whose connection is lost', () => {
  const releaser = useReleaser()
  const onError = () => {}

  it('fails at once on an operator connection, even when the connection is back soon', async () => {
    const proxy = await startTcpProxy((await startTestRedis(releaser)).url, releaser)
    const redis = openRedis({ url: `redis://127.0.0.1:${proxy.port}` }, 'operator', onError)
    releaser.onRelease(() => redis.disconnect())
    await redis.ping()
    const answer = redis.blpop(`nothing-${randomUUID()}`, 0)
    const outcome = answer.then(
      () => 'answered',
      (error: Error) => error.name,
    )
    await proxy.cut()
    await proxy.restore()
    expect(await outcome).toBe('MaxRetriesPerRequestError')
    await waitFor('the connection', () => redis.status === 'ready')
    expect(await redis.ping()).toBe('PONG')
  })

  it('is not sent again on a fail-fast connection after its timeout', async () => {
    const server = await startTestRedis(releaser)
    const redis = openRedis(server, 'fail-fast', onError)
    releaser.onRelease(() => redis.disconnect())
    await once(redis, 'ready')
    const backend = { kind: 'redis', url: server.url, prefix: 'frozen' } as const
    const queue = openQueue<unknown>('frozen', backend, redis, { onError })
    releaser.onRelease(() => queue.close())
    await queue.add('job', 'before')
    const lost = new Promise((resolve) => redis.once('close', resolve))
    server.freeze()
    await expect(queue.add('job', 'frozen')).rejects.toThrow('timed out')
    await lost
    server.thaw()
    await waitFor('the connection', () => redis.status === 'ready')
    await queue.add('job', 'after')
    const jobs = await queue.getJobs(['waiting'])
    expect(jobs.filter(({ data }) => data === 'frozen').length).toBeLessThanOrEqual(1)
  })
})

describeBackends('connections that become silent without closing', (kind) => {
  const releaser = useReleaser()
  const onError = () => {}

  it('are opened again: a queue answers, and a worker takes the next job', async () => {
    const database = await createTestDatabase(releaser)
    const direct: QueueBackend =
      kind === 'redis'
        ? { kind, url: (await startTestRedis(releaser)).url, prefix: 'silent' }
        : await createTestBackend(kind, releaser, database)
    await prepareQueueBackend(direct)
    const proxy = await startTcpProxy(direct.url, releaser)
    const url = new URL(direct.url)
    url.port = String(proxy.port)
    const backend = { ...direct, url: url.href }

    const redis =
      backend.kind === 'redis'
        ? openRedis(backend, 'patient', onError, { silenceLimitMs: LIMIT_MS })
        : undefined
    releaser.onRelease(() => redis?.disconnect())
    const queue = openQueue<unknown>('silent', backend, redis, { onError, silenceLimitMs: LIMIT_MS })
    releaser.add(queue, () => queue.close())
    const done: unknown[] = []
    const worker = openWorker<unknown>('silent', backend, async (job) => void done.push(job.data), {
      runRetryDelay: 100,
      silenceLimitMs: LIMIT_MS,
      // Seconds for which the worker blocks: less than the limit.
      drainDelay: 1,
    })
    worker.on('error', onError)
    releaser.add(worker, () => worker.close(true))
    // The worker blocks and waits for the second job.
    for (const job of ['first', 'second']) {
      const drained = once(worker, 'drained')
      await queue.add('job', job)
      await drained
    }
    expect(done).toEqual(['first', 'second'])

    proxy.silence()
    // A silent connection cannot be closed by a handshake.
    releaser.onRelease(() => proxy.cut())
    // Each silent connection of the pool is found by a command that gets no answer.
    const add = () =>
      queue.add('job', 'after').then(
        () => true,
        () => false,
      )
    await waitFor('the queue to answer', add, { timeoutMs: 40_000 })
    await waitFor('the next job', () => done.includes('after'), { timeoutMs: 40_000 })
  })
})
