import {
  createTestBackend,
  createTestDatabase,
  describeRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { expect, it } from 'vitest'
import { openQueue, prepareQueueBackend } from './backend.ts'
import { parseEnvelope } from './envelope.ts'
import { openRedis } from './open-redis.ts'
import { countQueuedEvents, readDepth } from './queue-depth.ts'

const releaser = useReleaser()

it('counts the items of a job as the worker parses them', async () => {
  const backend = await createTestBackend('postgres', releaser, await createTestDatabase(releaser))
  await prepareQueueBackend(backend)
  const queue = openQueue<object>('counted', backend, undefined, { onError: () => {} })
  releaser.add(queue, () => queue.close())
  const jobs = [
    { v: 1, events: [{}, {}, {}] },
    { v: 1, events: Array(501).fill({}) },
    [{}, {}],
    { v: 1, events: [] },
    { v: 2, events: [{}, {}] },
    { events: [{}, {}] },
    { notification_id: 'n', notification_type: 'push', status: 'sent' },
  ]
  await queue.addBulk(jobs.map((data) => ({ name: 'any', data })))
  const found = jobs.map((data) => parseEnvelope({ id: '1', data, timestamp: 0, queueName: 'counted' }))
  const events = found.reduce((sum, { events, invalid }) => sum + events.length + invalid.length, 0)
  expect(await countQueuedEvents([queue])).toBe(events)
})

describeRedis('a job whose options are not JSON', () => {
  it('is counted as a job, and its events as unknown', async () => {
    const backend = await createTestBackend('redis', releaser)
    const onError = () => {}
    const redis = releaser.add(openRedis(backend, 'patient', onError), (it) => it.disconnect())
    const queue = releaser.add(openQueue<object>('foreign', backend, redis, { onError }), (it) => it.close())
    const job = await queue.add('any', { v: 1, events: [{}] })
    await redis.hset(queue.toKey(job.id ?? ''), 'opts', 'no json')
    expect(await readDepth([queue], 'redis')).toMatchObject({ waiting: 1, oldestWaitingAt: undefined })
    expect(await countQueuedEvents([queue])).toBeUndefined()
  })
})
