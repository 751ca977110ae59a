import { type JobQueue, openQueue, openWorker, prepareQueueBackend } from '@tidings/queue/backend'
import { openRedis } from '@tidings/queue/open-redis'
import { createLogger } from '@tidings/runtime/log'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  type BackendKind,
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { startWatchdog } from './watchdog.ts'

const log = createLogger('test', 'silent')
const POLL = { intervalMs: 10 }
const ignore = () => {}
const releaser = useReleaser()

/** A database or Redis prefix, with a function that opens a new queue in it. */
async function openBackend(kind: BackendKind) {
  const database = await createTestDatabase(releaser)
  const backend = await createTestBackend(kind, releaser, database)
  await prepareQueueBackend(backend)
  const redis = backend.kind === 'redis' ? openRedis(backend, 'patient', ignore) : undefined
  releaser.onRelease(() => redis?.disconnect())
  let queues = 0
  const openTestQueue = () =>
    releaser.add(openQueue<unknown>(`watched-${queues++}`, backend, redis, { onError: ignore }), (queue) =>
      queue.close(),
    )
  return { backend, openTestQueue, pool: database.database.pool }
}

/** Watches a queue. `wedged` counts the calls of onWedged. */
function watch(queue: JobQueue<unknown>, { isPaused = (): boolean => false, limitMs = 100 } = {}) {
  const seen = { wedged: 0, firstAt: Number.POSITIVE_INFINITY }
  const onWedged = () => {
    seen.wedged++
    seen.firstAt = Math.min(seen.firstAt, Date.now())
  }
  releaser.onRelease(startWatchdog({ queues: [queue], isPaused, onWedged, log, limitMs, intervalMs: 50 }))
  return seen
}

describeBackends('the watchdog', (kind) => {
  let opened: Awaited<ReturnType<typeof openBackend>>
  beforeAll(async () => {
    opened = await openBackend(kind)
  })

  it('reports a worker when jobs wait and none is taken, but not one that pauses', async () => {
    const queue = opened.openTestQueue()
    await queue.add('job', {})
    const pausing = watch(queue, { isPaused: () => true })
    const wedged = watch(queue)
    await waitFor('the watchdog', () => wedged.wedged > 1, POLL)
    expect(pausing.wedged).toBe(0)
  })

  it('reports no worker that runs a job while others wait', async () => {
    const [queue, wedged] = [opened.openTestQueue(), opened.openTestQueue()]
    await queue.add('job', {})
    const end = Promise.withResolvers<void>()
    const worker = openWorker<unknown>(queue.name, opened.backend, () => end.promise, {})
    releaser.add(worker, () => worker.close())
    await waitFor('the job to be taken', async () => (await queue.getActiveCount()) === 1, POLL)
    for (const each of [queue, queue, wedged]) await each.add('job', {})
    const seen = watch(queue)
    const control = watch(wedged)
    await waitFor('the watchdog of the other queue', () => control.wedged > 1, POLL)
    expect(await queue.getWaitingCount()).toBe(2)
    expect(seen.wedged).toBe(0)
    end.resolve()
  })

  it('reports no worker while an operator has paused the queue', async () => {
    const [queue, wedged] = [opened.openTestQueue(), opened.openTestQueue()]
    await queue.pause()
    for (const each of [queue, wedged]) await each.add('job', {})
    const seen = watch(queue)
    const control = watch(wedged)
    await waitFor('the watchdog of the other queue', () => control.wedged > 1, POLL)
    expect(seen.wedged).toBe(0)
    await queue.resume()
    await waitFor('the watchdog', () => seen.wedged > 0, POLL)
  })
})

describe('the watchdog of a store that does not answer', () => {
  it('does not count the time of the silence', async () => {
    // Long enough to lock the table after a look, also on a busy machine.
    const limitMs = 1_000
    const [silent, answering] = await Promise.all([openBackend('postgres'), openBackend('postgres')])
    const [queue, other] = [silent.openTestQueue(), answering.openTestQueue()]
    for (const each of [queue, other]) await each.add('job', {})
    let looks = 0
    const seen = watch(queue, { isPaused: () => looks++ < 0, limitMs })
    const client = await silent.pool.connect()
    await client.query('BEGIN')
    await waitFor('a look that finds the job waiting', () => looks > 0, { intervalMs: 1 })
    await client.query('LOCK TABLE bullmq.job')
    const control = watch(other, { limitMs })
    await waitFor('the watchdog of the store that answers', () => control.wedged > 0, POLL)
    const answersAgainAt = Date.now()
    await client.query('COMMIT')
    client.release()
    await waitFor('the watchdog', () => seen.wedged > 0, POLL)
    expect(seen.firstAt - answersAgainAt).toBeGreaterThanOrEqual(limitMs)
  })
})
