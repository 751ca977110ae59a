import { randomUUID } from 'node:crypto'
import { type JobQueue, openQueue, openRedis, openWorker, type QueueBackend } from '@tidings/queue/backend'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { STATUS_QUEUE } from '@tidings/queue/policy'
import { createLogger } from '@tidings/runtime/log'
import { identifyEvent } from '@tidings/shared/event-identity'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { createTestBackend, describeRedis, useReleaser } from '@tidings/stack/testing/test-context'
import { FlowProducer, UnrecoverableError } from 'bullmq'
import type { Redis } from 'ioredis'
import { beforeAll, expect, it } from 'vitest'
import { createSweeper, type SweeperOptions } from './sweeper.ts'

const makeEvent = () =>
  identifyEvent(
    { notification_id: `n-${randomUUID()}`, status: 'sent' },
    { type: 'email', source: 'test', receivedAt: new Date() },
  )

describeRedis('the sweeper', () => {
  const releaser = useReleaser()
  let backend: QueueBackend
  let redis: Redis
  let queue: JobQueue<unknown>

  beforeAll(async () => {
    backend = await createTestBackend('redis', releaser)
    redis = releaser.add(
      openRedis(backend.url, 'patient', () => {}),
      (it) => it.disconnect(),
    )
    queue = releaser.add(openQueue<unknown>(STATUS_QUEUE, backend, redis, { onError: () => {} }), (it) =>
      it.close(),
    )
    // Fails whatever it gets, at once.
    const failing = openWorker<unknown>(
      STATUS_QUEUE,
      backend,
      () => Promise.reject(new UnrecoverableError('as the test says')),
      { removeOnComplete: { count: 0 } },
    )
    failing.on('error', () => {})
    releaser.onRelease(() => failing.close())
  })

  const untilFailed = (jobs: number) =>
    waitFor(`${jobs} failed jobs`, async () => (await queue.getFailedCount()) === jobs)

  function sweeperWith(more: Partial<SweeperOptions>) {
    const sweeper = createSweeper({
      queues: [queue],
      bury: async () => 0,
      reconciler: { check: async () => {}, walkIfDue: () => {} },
      findStored: async () => new Map(),
      bookRepeats: async () => {},
      exclusively: async (work) => {
        await work()
        return true
      },
      unpark: async () => 0,
      onBuried: () => {},
      log: createLogger('test', 'silent'),
      intervalMs: 3_600_000,
      ...more,
    })
    releaser.onRelease(() => sweeper.close())
    return sweeper
  }

  it('buries every job but the one that cannot be, and goes on to the parked events', async () => {
    const events = Array.from({ length: 120 }, makeEvent)
    for (const event of events) await queue.add('job', { v: 1, events: [event] })
    await untilFailed(events.length)
    const unlucky = events[60]?.id
    const buried = new Set<string>()
    let unparked = 0
    const sweeper = sweeperWith({
      async bury(failedEvents: readonly FailedEvent[]) {
        if (failedEvents.some((failedEvent) => failedEvent.eventId === unlucky))
          throw new RangeError('as the test says')
        for (const failedEvent of failedEvents) buried.add(failedEvent.eventId)
        return 0
      },
      unpark: async () => (unparked++ === 0 ? 1 : 0),
    })
    expect(await sweeper.sweep()).toBe(events.length - 1)
    expect(buried).toEqual(new Set(events.map(({ id }) => id).filter((id) => id !== unlucky)))
    expect(unparked).toBe(2)
    const left = await queue.getFailed()
    expect(left).toHaveLength(1)
    await left[0]?.remove()
  })

  it('leaves the rest to the next one when it is closed', async () => {
    for (let n = 0; n < 3; n++) await queue.add('job', { v: 1, events: [makeEvent()] })
    await untilFailed(3)
    const begun = Promise.withResolvers<void>()
    const closing = Promise.withResolvers<void>()
    const sweeper = sweeperWith({
      async bury() {
        begun.resolve()
        await closing.promise
        return 0
      },
    })
    const swept = sweeper.sweep()
    await begun.promise
    const closed = sweeper.close()
    closing.resolve()
    await closed
    expect(await swept).toBe(1)
    expect(await queue.getFailedCount()).toBe(2)
    await sweeperWith({}).sweep()
  })

  it('takes back the dead letter of an event that is a row, whatever its job failed for', async () => {
    const event = makeEvent()
    await queue.add('job', { v: 1, events: [event] })
    await untilFailed(1)
    const recalled: string[] = []
    const buried: FailedEvent[] = []
    const sweeper = sweeperWith({
      findStored: async () => new Map([[event.id, event.content_hash]]),
      reconciler: {
        check: async (failedEvents) => void recalled.push(...failedEvents.map(({ eventId }) => eventId)),
        walkIfDue: () => {},
      },
      async bury(failedEvents) {
        buried.push(...failedEvents)
        return 0
      },
    })
    await sweeper.sweep()
    expect(recalled).toEqual([event.id])
    expect(buried).toEqual([])
  })

  it('says once a second at most that jobs cannot be buried, however many and however often it looks', async () => {
    for (let n = 0; n < 20; n++) await queue.add('job', { v: 1, events: [makeEvent()] })
    await untilFailed(20)
    const log = createLogger('test', 'silent')
    const lines: unknown[] = []
    const write = (...line: unknown[]) => void lines.push(line)
    Object.assign(log, { warn: write, error: write })
    const full = new Error('OOM command not allowed')
    const sweeper = sweeperWith({ log, bury: () => Promise.reject(full), unpark: () => Promise.reject(full) })
    const startedAt = performance.now()
    for (let n = 0; n < 5; n++) await expect(sweeper.sweep()).rejects.toBe(full)
    const seconds = (performance.now() - startedAt) / 1_000
    expect(lines.length).toBeGreaterThan(0)
    expect(lines.length).toBeLessThanOrEqual(1 + seconds)
    expect(JSON.stringify(lines[0])).toContain('OOM')
    await sweeperWith({}).sweep()
  })

  it('stops when PostgreSQL is away: none could be buried', async () => {
    await queue.add('job', { v: 1, events: [makeEvent()] })
    await untilFailed(1)
    const away = Object.assign(new Error('no connection'), { code: 'ECONNREFUSED' })
    await expect(sweeperWith({ bury: () => Promise.reject(away) }).sweep()).rejects.toBe(away)
    expect(await queue.getFailedCount()).toBe(1)
    await sweeperWith({}).sweep()
  })

  it('leaves the children of a failed job, which are jobs of their own', async () => {
    const flow = releaser.add(
      new FlowProducer({
        connection: redis,
        prefix: backend.kind === 'redis' ? backend.prefix : '',
      }),
      (it) => it.close(),
    )
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
    expect(await sweeperWith({}).sweep()).toBe(2)
    expect((await queue.getDelayed()).map((job) => job.name)).toEqual(['waits'])
  })
})
