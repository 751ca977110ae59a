import { openQueue, openWorker, prepareQueueBackend } from '@tidings/queue/backend'
import { createLogger } from '@tidings/shared/log'
import { createTestBackend, createTestDatabase, useReleaser } from '@tidings/stack/test-context'
import { waitFor } from '@tidings/stack/wait-for'
import { expect, it } from 'vitest'
import { startWatchdog } from './watchdog.ts'

const log = createLogger('test', 'silent')
const releaser = useReleaser()

async function openTestQueue() {
  const database = await createTestDatabase(releaser)
  const backend = await createTestBackend('postgres', releaser, database)
  await prepareQueueBackend(backend)
  const queue = openQueue<unknown>('watched', backend, undefined, { onError: () => {} })
  releaser.add(queue, () => queue.close())
  return { backend, queue }
}

function watch(queue: Awaited<ReturnType<typeof openTestQueue>>['queue'], isPaused: () => boolean) {
  const seen = { wedged: 0 }
  const stop = startWatchdog({
    queues: [queue],
    isPaused,
    onWedged: () => {
      seen.wedged++
    },
    log,
    limitMs: 100,
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
