import { once } from 'node:events'
import { startTcpProxy } from '@tidings/stack/tcp-proxy'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/test-context'
import { waitFor } from '@tidings/stack/wait-for'
import { expect, it } from 'vitest'
import { openQueue, openRedis, openWorker, prepareQueueBackend } from './backend.ts'

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
