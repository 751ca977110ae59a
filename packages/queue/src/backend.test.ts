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
import { openQueue, openRedis, openWorker, prepareQueueBackend } from './backend.ts'

describeRedis('a command whose connection is lost', () => {
  const releaser = useReleaser()
  const onError = () => {}

  it('fails at once for an operator, also when the connection is back soon', async () => {
    const backend = await createTestBackend('redis', releaser)
    const proxy = await startTcpProxy(backend.url, releaser)
    const redis = openRedis(`redis://127.0.0.1:${proxy.port}`, 'operator', onError)
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

  it('is not sent again for a caller that was told of a timeout', async () => {
    const server = await startTestRedis(releaser)
    const redis = openRedis(server.url, 'fail-fast', onError)
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

describeBackends('connections that go silent without an end', (kind) => {
  const releaser = useReleaser()
  const onError = () => {}

  it('are made anew: a queue answers again, and a worker takes the next job', async () => {
    const database = await createTestDatabase(releaser)
    const direct = await createTestBackend(kind, releaser, database)
    await prepareQueueBackend(direct)
    const proxy = await startTcpProxy(direct.url, releaser)
    const url = new URL(direct.url)
    url.port = String(proxy.port)
    const backend = { ...direct, url: url.href }

    const redis = backend.kind === 'redis' ? openRedis(backend.url, 'patient', onError) : undefined
    releaser.onRelease(() => redis?.disconnect())
    const queue = openQueue<unknown>('silent', backend, redis, { onError })
    releaser.add(queue, () => queue.close())
    const done: unknown[] = []
    const worker = openWorker<unknown>('silent', backend, async (job) => void done.push(job.data), {
      runRetryDelay: 100,
    })
    worker.on('error', onError)
    releaser.add(worker, () => worker.close(true))
    // The second job is one that the worker was waiting for: it listens by then.
    for (const job of ['first', 'second']) {
      const drained = once(worker, 'drained')
      await queue.add('job', job)
      await drained
    }
    expect(done).toEqual(['first', 'second'])

    proxy.silence()
    // A silent connection cannot be closed in order either.
    releaser.onRelease(() => proxy.cut())
    await Promise.allSettled([queue.getJobCounts('waiting')])
    await queue.add('job', 'after')
    await waitFor('the next job', () => done.includes('after'), { timeoutMs: 40_000 })
  })
})
