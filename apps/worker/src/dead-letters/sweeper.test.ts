import { type JobQueue, openQueue, openWorker, type QueueBackend } from '@tidings/queue/backend'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { openRedis, type RedisConnection } from '@tidings/queue/open-redis'
import { STATUS_QUEUE } from '@tidings/queue/policy'
import { keyPrefixOf } from '@tidings/queue/queue-names'
import { createLogger } from '@tidings/runtime/log'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestBackend, describeRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { FlowProducer, UnrecoverableError } from 'bullmq'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { Sweeper, type SweeperOptions } from './sweeper.ts'

const ignore = () => {}

describeRedis('the sweeper', () => {
  const releaser = useReleaser()
  let backend: QueueBackend & { kind: 'redis' }
  let redis: RedisConnection
  let queue: JobQueue<unknown>

  beforeAll(async () => {
    backend = (await createTestBackend('redis', releaser)) as typeof backend
    redis = releaser.add(openRedis(backend, 'patient', ignore), (it) => it.disconnect())
    queue = releaser.add(openQueue<unknown>(STATUS_QUEUE, backend, redis, { onError: ignore }), (it) =>
      it.close(),
    )
    // Fails every job at once.
    const failing = openWorker<unknown>(
      STATUS_QUEUE,
      backend,
      () => Promise.reject(new UnrecoverableError('as the test says')),
      { concurrency: 20 },
    )
    failing.on('error', ignore)
    releaser.onRelease(() => failing.close())
  })
  afterEach(() => queue.clean(0, 0, 'failed'))

  const untilFailed = (jobs: number) =>
    waitFor(`${jobs} failed jobs`, async () => (await queue.getFailedCount()) === jobs, { intervalMs: 10 })

  /** Adds jobs that hold one event each. Returns the events after all jobs failed. */
  async function addFailedJobs(jobs: number) {
    const events = Array.from({ length: jobs }, () => makeEvent())
    await queue.addBulk(events.map((event) => ({ name: 'job', data: { v: 1, events: [event] } })))
    await untilFailed(jobs)
    return events
  }

  function createSweeper(more: Partial<SweeperOptions> = {}) {
    const sweeper = new Sweeper({
      queues: [queue],
      recipientKey: DEFAULT_RECIPIENT_KEY,
      bury: async () => {},
      findStored: async () => new Map(),
      exclusively: async (work) => {
        await work()
        return true
      },
      onBuried: ignore,
      log: createLogger('test', 'silent'),
      intervalMs: 3_600_000,
      ...more,
    })
    return releaser.add(sweeper, (it) => it.close())
  }

  /** A bury function that remembers the ids of the events. */
  function createBury() {
    const buried: string[] = []
    const bury = async (failedEvents: readonly FailedEvent[]) =>
      void buried.push(...failedEvents.map(({ eventId }) => eventId))
    return { buried, bury }
  }

  function createWarningLog() {
    const warnings: string[] = []
    const log = createLogger('test', 'silent')
    Object.assign(log, { warn: (...line: unknown[]) => void warnings.push(JSON.stringify(line)) })
    return { warnings, log }
  }

  it('buries every job but the one that cannot be buried, and runs the other work after it', async () => {
    const events = await addFailedJobs(120)
    const unlucky = events[60]?.id
    const { buried, bury } = createBury()
    let sweeps = 0
    const sweeper = createSweeper({
      async bury(failedEvents) {
        if (failedEvents.some(({ eventId }) => eventId === unlucky)) throw new RangeError('as the test says')
        await bury(failedEvents)
      },
      async afterSweep() {
        sweeps++
      },
    })
    expect(await sweeper.sweep()).toBe(events.length - 1)
    expect(new Set(buried)).toEqual(new Set(events.map(({ id }) => id).filter((id) => id !== unlucky)))
    expect(sweeps).toBe(1)
    expect(await queue.getFailedCount()).toBe(1)
  })

  it.each(['opts', 'progress', 'parent'])(
    'buries every job but the one whose %s field is not JSON, and names that one in a warning',
    async (field) => {
      const events = await addFailedJobs(3)
      const [, broken] = await queue.getRanges(['failed'], 0, -1)
      await redis.hset(queue.toKey(broken ?? ''), field, 'no json')
      const { buried, bury } = createBury()
      const { warnings, log } = createWarningLog()
      expect(await createSweeper({ bury, log }).sweep()).toBe(2)
      expect(new Set(buried).size).toBe(2)
      expect(events.map(({ id }) => id)).toEqual(expect.arrayContaining(buried))
      expect(await queue.getRanges(['failed'], 0, -1)).toEqual([broken])
      expect(warnings).toContainEqual(expect.stringContaining(`job ${broken} not buried, stays failed`))
    },
  )

  it('leaves the other jobs to the next sweeper when it is closed', async () => {
    await addFailedJobs(3)
    const begun = Promise.withResolvers<void>()
    const closing = Promise.withResolvers<void>()
    const sweeper = createSweeper({
      async bury() {
        begun.resolve()
        await closing.promise
      },
    })
    const swept = sweeper.sweep()
    await begun.promise
    const closed = sweeper.close()
    closing.resolve()
    await closed
    expect(await swept).toBe(1)
    expect(await queue.getFailedCount()).toBe(2)
  })

  it('removes a failed job whose event is stored, and buries nothing', async () => {
    const [event] = await addFailedJobs(1)
    const { buried, bury } = createBury()
    const findStored = async () => new Map([[event?.id ?? '', event?.content_hash]])
    expect(await createSweeper({ bury, findStored }).sweep()).toBe(0)
    expect(buried).toEqual([])
    expect(await queue.getFailedCount()).toBe(0)
  })

  it('warns at most once a second that jobs cannot be buried, however many jobs and sweeps there are', async () => {
    await addFailedJobs(20)
    const { warnings, log } = createWarningLog()
    const sweeper = createSweeper({ log, bury: () => Promise.reject(new Error('OOM command not allowed')) })
    const startedAt = performance.now()
    for (let n = 0; n < 5; n++) await sweeper.sweep()
    const seconds = (performance.now() - startedAt) / 1_000
    expect(warnings.length).toBeLessThanOrEqual(1 + seconds)
    expect(warnings[0]).toContain('OOM')
    expect(await queue.getFailedCount()).toBe(20)
  })

  it('stops when PostgreSQL is unreachable: no job could be buried', async () => {
    await addFailedJobs(3)
    let attempts = 0
    const away = Object.assign(new Error('no connection'), { code: 'ECONNREFUSED' })
    const bury = () => {
      attempts++
      return Promise.reject(away)
    }
    await expect(createSweeper({ bury }).sweep()).rejects.toBe(away)
    expect(attempts).toBe(1)
    expect(await queue.getFailedCount()).toBe(3)
  })

  it('leaves the children of a failed job: each is a separate job', async () => {
    const prefix = keyPrefixOf(backend, STATUS_QUEUE)
    const flow = releaser.add(new FlowProducer({ connection: redis, prefix }), (it) => it.close())
    const data = () => ({ v: 1, events: [makeEvent()] })
    await flow.add({
      name: 'parent',
      queueName: STATUS_QUEUE,
      data: data(),
      children: [
        { name: 'fails', queueName: STATUS_QUEUE, data: data(), opts: { failParentOnFailure: true } },
        { name: 'waits', queueName: STATUS_QUEUE, data: data(), opts: { delay: 3_600_000 } },
      ],
    })
    await untilFailed(2)
    expect(await createSweeper().sweep()).toBe(2)
    expect((await queue.getDelayed()).map((job) => job.name)).toEqual(['waits'])
  })
})
