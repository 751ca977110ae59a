import { type JobQueue, openQueue, openRedis, openWorker, prepareQueueBackend } from '@tidings/queue/backend'
import { createLogger } from '@tidings/runtime/log'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  type BackendKind,
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'
import { startWatchdog } from './watchdog.ts'

const log = createLogger('test', 'silent')
const releaser = useReleaser()

async function openTestQueue(kind: BackendKind = 'postgres') {
  const database = await createTestDatabase(releaser)
  const backend = await createTestBackend(kind, releaser, database)
  await prepareQueueBackend(backend)
  const onError = () => {}
  const redis = backend.kind === 'redis' ? openRedis(backend.url, 'patient', onError) : undefined
  releaser.onRelease(() => redis?.disconnect())
  const queue = openQueue<unknown>('watched', backend, redis, { onError })
  releaser.add(queue, () => queue.close())
  return { backend, queue, pool: database.database.pool }
}

function watch(queue: JobQueue<unknown>, isPaused: () => boolean, limitMs = 100) {
  const seen = { wedged: 0, firstAt: Number.POSITIVE_INFINITY }
  const stop = startWatchdog({
    queues: [queue],
    isPaused,
    onWedged: () => {
      seen.wedged++
      seen.firstAt = Math.min(seen.firstAt, Date.now())
    },
    log,
    limitMs,
    intervalMs: 20,
  })
  releaser.onRelease(stop)
  return seen
}

it('calls a worker wedged when jobs wait and none is taken', async () => {
  const { queue } = await openTestQueue()
  const seen = watch(queue, () => false)
  await queue.add('job', {})
  await waitFor('the watchdog', () => seen.wedged > 0)
})

it('says nothing while jobs are not taken on purpose, or while they are taken', async () => {
  const { queue, backend } = await openTestQueue()
  let paused = true
  const seen = watch(queue, () => paused)
  await queue.add('job', {})
  const control = watch(queue, () => false)
  await waitFor('a watchdog that does not know of the pause', () => control.wedged > 0)
  expect(seen.wedged).toBe(0)
  const hold = Promise.withResolvers<void>()
  const worker = openWorker<unknown>('watched', backend, () => hold.promise, {})
  releaser.add(worker, () => worker.close())
  await waitFor('the job to be taken', async () => (await queue.getActiveCount()) === 1)
  paused = false
  await queue.add('job', {})
  await queue.add('job', {})
  await waitFor('several looks', async () => (await queue.getWaitingCount()) === 2)
  expect(seen.wedged).toBe(0)
  hold.resolve()
})

describeBackends('a queue that an operator has paused', (kind) => {
  it('is no sign of a wedged worker', async () => {
    const { queue } = await openTestQueue(kind)
    await queue.pause()
    const seen = watch(queue, () => false)
    await queue.add('job', {})
    const other = await openTestQueue(kind)
    await other.queue.add('job', {})
    const control = watch(other.queue, () => false)
    await waitFor('the watchdog of another queue', () => control.wedged > 1)
    expect(seen.wedged).toBe(0)
    await queue.resume()
    await waitFor('the watchdog', () => seen.wedged > 0)
  })
})

it('does not count the time in which the store was silent', async () => {
  const limitMs = 1_500
  const { queue, pool } = await openTestQueue()
  await queue.add('job', {})
  let looks = 0
  const seen = watch(queue, () => looks++ < 0, limitMs)
  const client = await pool.connect()
  await client.query('BEGIN')
  await waitFor('a look that finds the job waiting', () => looks > 0)
  await client.query('LOCK TABLE bullmq.job')
  const other = await openTestQueue()
  await other.queue.add('job', {})
  const control = watch(other.queue, () => false, limitMs)
  await waitFor('the watchdog of a store that answers', () => control.wedged > 0)
  const answersAgainAt = Date.now()
  await client.query('COMMIT')
  client.release()
  await waitFor('the watchdog', () => seen.wedged > 0)
  expect(seen.firstAt - answersAgainAt).toBeGreaterThanOrEqual(limitMs)
})
