import type { Releaser } from '@tidings/stack/releaser'
import {
  createTestBackend,
  describeBackends,
  describeRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'
import { openQueue, openWorker, prepareQueueBackend, type QueueBackend } from './backend.ts'
import { readBacklog } from './backlog.ts'
import { openRedis } from './open-redis.ts'
import { DEAD_LETTER_JOB_OPTIONS, DEAD_LETTER_QUEUE } from './policy.ts'
import { shardNames } from './queue-names.ts'

function openQueues(backend: QueueBackend, releaser: Releaser) {
  const onError = () => {}
  const redis =
    backend.kind === 'redis'
      ? releaser.add(openRedis(backend, 'patient', onError), (it) => it.disconnect())
      : undefined
  const open = (name: string) =>
    releaser.add(openQueue<object>(name, backend, redis, { onError }), (queue) => queue.close())
  return { redis, shards: shardNames(2).map(open), dead: open(DEAD_LETTER_QUEUE) }
}

describeBackends('the backlog', (kind) => {
  const releaser = useReleaser()

  it('is the age of the oldest job of each shard and of the oldest dead letter; 0 when there is none', async () => {
    const backend = await createTestBackend(kind, releaser)
    await prepareQueueBackend(backend)
    const { shards, dead } = openQueues(backend, releaser)
    const now = Date.now()
    expect(await readBacklog(shards, [dead], kind, now)).toEqual({
      events: new Map([
        ['status-events', 0],
        ['status-events-1', 0],
      ]),
      deadLetters: new Map([['status-events-dead', 0]]),
    })
    for (const secondsAgo of [40, 20, 30])
      await shards[1]?.add('any', {}, { timestamp: now - secondsAgo * 1_000 })
    const buriedAgo = (ms: number) => ({ dead_at: new Date(now - ms).toISOString() })
    for (const ms of [5_000, 4_000])
      await dead.add('any', buriedAgo(ms), { ...DEAD_LETTER_JOB_OPTIONS, timestamp: now })
    expect(await readBacklog(shards, [dead], kind, now)).toEqual({
      events: new Map([
        ['status-events', 0],
        ['status-events-1', 40_000],
      ]),
      deadLetters: new Map([['status-events-dead', 5_000]]),
    })
  })
})

describeBackends('the backlog behind a job of a producer whose clock is ahead', (kind) => {
  const releaser = useReleaser()

  it('is the age of the next job', async () => {
    const backend = await createTestBackend(kind, releaser)
    await prepareQueueBackend(backend)
    const { shards } = openQueues(backend, releaser)
    const now = Date.now()
    for (const timestamp of [now + 3_600_000, now + 60_000, now - 20_000, now - 10_000])
      await shards[0]?.add('any', {}, { timestamp })
    const { events } = await readBacklog(shards, [], kind, now)
    expect(events.get('status-events')).toBe(20_000)
  })
})

describeBackends('the backlog of a job that a worker put back', (kind) => {
  const releaser = useReleaser()

  it('begins when the worker took it', async () => {
    const backend = await createTestBackend(kind, releaser)
    await prepareQueueBackend(backend)
    const { shards, dead } = openQueues(backend, releaser)
    const [queue] = shards
    const takenAt = Date.now()
    await queue?.add('any', {}, { timestamp: takenAt - 600_000 })
    const worker = openWorker<object>(queue?.name ?? '', backend, async () => {}, { autorun: false })
    worker.on('error', () => {})
    releaser.onRelease(() => worker.close())
    const job = await worker.getNextJob('token')
    await job?.moveToDelayed(Date.now() + 60_000, 'token')
    const [delayed] = (await queue?.getDelayed()) ?? []
    await delayed?.promote()
    const { events } = await readBacklog(shards, [dead], kind, takenAt + 1_000)
    expect(events.get('status-events')).toBeLessThanOrEqual(1_000)
  })
})

describeRedis('the backlog of a queue whose oldest job cannot be read', () => {
  const releaser = useReleaser()

  it('is unknown, and that of the others is not', async () => {
    const backend = await createTestBackend('redis', releaser)
    const { redis, shards, dead } = openQueues(backend, releaser)
    const [first] = shards
    const job = await first?.add('any', {})
    await redis?.hset(first?.toKey(job?.id ?? '') ?? '', 'opts', 'no json')
    expect([...(await readBacklog(shards, [dead], 'redis')).events.keys()]).toEqual(['status-events-1'])
  })
})
