import { openQueue, type QueueBackend } from '@tidings/queue/backend'
import { parseEnvelope } from '@tidings/queue/envelope'
import { STATUS_QUEUE } from '@tidings/queue/policy'
import { shardNames } from '@tidings/queue/queue-names'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  describeRedis,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { createProducer, type Producer, type Report } from './producer.ts'
import { startStubApi } from './testing/stub-api.ts'

/** The promise is a second. The rest is for a busy machine; without deadlines there would be no answer. */
const LIMIT_MS = 5_000

const event = (notification_id = 'n'): Report => ({
  notification_type: 'push',
  notification_id,
  status: 'sent',
  recipient: 'a token',
})
const events = (count: number) => Array.from({ length: count }, (_, index) => event(`n-${index}`))

/** Reports an event as soon as that is possible. */
const waitUntilConnected = (producer: Producer) =>
  waitFor('a report', () => producer.report(event()).then(() => true))

describeRedis('reporting over the queue', () => {
  const releaser = useReleaser()
  let backend: Extract<QueueBackend, { kind: 'redis' }>
  let redis: Redis
  beforeAll(async () => {
    const made = await createTestBackend('redis', releaser)
    if (made.kind !== 'redis') throw new Error('Not a Redis backend')
    backend = made
    redis = releaser.add(new Redis(backend.url), (it) => it.disconnect())
  })

  /** Returns a producer that is connected. */
  async function open(options: { shards?: number; source?: string } = {}) {
    const { url, prefix } = backend
    const producer = createProducer({ queue: { url, prefix, ...options } })
    releaser.onRelease(() => producer.close({ timeoutMs: 1 }))
    await waitUntilConnected(producer)
    for (const name of shardNames(2)) await takeJobs(name)
    return producer
  }

  /** Takes the jobs off a queue. */
  async function takeJobs(name = STATUS_QUEUE) {
    const queue = openQueue<{ v: number; events: unknown[] }>(name, backend, redis, { onError: () => {} })
    const jobs = await queue.getJobs(['waiting'], 0, -1, true)
    await queue.obliterate()
    await queue.close()
    return jobs
  }

  it('adds envelopes that the worker reads, with the options of the API', async () => {
    const producer = await open({ source: 'push-service' })
    const results = await producer.reportMany(events(700))
    const jobs = await takeJobs()
    expect(jobs.map(({ data }) => [data.v, data.events.length])).toEqual([
      [1, 500],
      [1, 200],
    ])
    expect(jobs[0]).toMatchObject({
      name: 'envelope',
      opts: { attempts: 4, removeOnComplete: true, removeOnFail: false },
    })
    const parsed = jobs.map((job) => parseEnvelope({ ...job, queueName: STATUS_QUEUE }))
    expect(parsed.flatMap(({ invalid }) => invalid)).toEqual([])
    const sent = parsed.flatMap((envelope) => envelope.events)
    expect(sent.map(({ notification_id }) => notification_id)).toEqual(
      events(700).map((each) => each.notification_id),
    )
    expect(sent[0]).toMatchObject({ notification_type: 'push', source: 'push-service' })
    expect(sent.map((each) => ({ accepted: true, eventId: each.event_id, via: 'queue' }))).toEqual(results)
  })

  it('spreads jobs over the shards', async () => {
    const producer = await open({ shards: 2 })
    for (const each of events(4)) await producer.report(each)
    for (const name of shardNames(2)) expect(await takeJobs(name)).toHaveLength(2)
  })

  it('has the same identity as over the API when its source is the name of the key', async () => {
    const report = { ...event(), event_id: 'mine' }
    const producers = [await open({ source: 'a' }), await open({ source: 'a' }), await open({ source: 'b' })]
    for (const producer of producers) await producer.report(report)
    const ids = (await takeJobs()).flatMap((job) =>
      parseEnvelope({ ...job, queueName: STATUS_QUEUE }).events.map(({ id }) => id),
    )
    expect(ids).toHaveLength(3)
    expect(new Set(ids).size).toBe(2)
  })
})

describeRedis('reporting over the queue while Redis is away', () => {
  const releaser = useReleaser()

  async function setUp() {
    const server = await startTestRedis(releaser)
    const producer = releaser.add(createProducer({ queue: { url: server.url } }), (it) =>
      it.close({ timeoutMs: 1 }),
    )
    return { server, producer }
  }
  async function timed<Result>(work: Promise<Result>) {
    const startedAt = performance.now()
    const result = await work.catch((error: unknown) => error)
    return { result, ms: performance.now() - startedAt }
  }

  it('fails within a second, then at once, and works when Redis is back', async () => {
    const { server, producer } = await setUp()
    await waitUntilConnected(producer)
    await server.stop()
    const first = await timed(producer.report(event()))
    expect(first.result).toMatchObject({ code: 'unavailable', retryable: true, eventId: expect.any(String) })
    expect(first.ms).toBeLessThan(LIMIT_MS)
    const many = await timed(producer.reportMany(events(500)))
    expect(many.result).toMatchObject(Array(500).fill({ accepted: false, error: { code: 'unavailable' } }))
    expect(many.ms).toBeLessThan(LIMIT_MS)
    await server.start()
    await waitUntilConnected(producer)
  })

  it('fails within a second while Redis is frozen', async () => {
    const { server, producer } = await setUp()
    await waitUntilConnected(producer)
    server.freeze()
    const { result, ms } = await timed(producer.report(event())).finally(() => server.thaw())
    expect(result).toMatchObject({ code: 'unavailable' })
    expect(ms).toBeLessThan(LIMIT_MS)
    await waitUntilConnected(producer)
  })

  it('works once Redis is there, when it was created before', async () => {
    const { server, producer } = await setUp()
    await server.stop()
    const early = createProducer({ queue: { url: server.url } })
    releaser.onRelease(() => early.close())
    await expect(early.report(event())).rejects.toMatchObject({ code: 'unavailable' })
    await server.start()
    await Promise.all([waitUntilConnected(early), waitUntilConnected(producer)])
  })

  it.for(['stopped', 'frozen'])('closes while Redis is %s', async (state) => {
    const { server, producer } = await setUp()
    await waitUntilConnected(producer)
    await (state === 'stopped' ? server.stop() : server.freeze())
    const left = expect(producer.report(event())).rejects.toMatchObject({ code: 'closed' })
    const { ms } = await timed(producer.close({ timeoutMs: 50 }))
    if (state === 'frozen') server.thaw()
    expect(ms).toBeLessThan(LIMIT_MS)
    await left
  })

  describe('and there is an API', () => {
    it('reports over the API instead, with the same event_id, and over the queue again when Redis is back', async () => {
      const server = await startTestRedis(releaser)
      const stub = await startStubApi(releaser)
      const producer = createProducer({
        queue: { url: server.url, source: 'service' },
        api: { url: stub.url, key: 'tdk_key' },
      })
      releaser.onRelease(() => producer.close())
      await waitFor('the queue', async () => (await producer.report(event())).via === 'queue')
      const before = stub.requests.length
      await server.stop()
      const receipts = await Promise.all(events(3).map((each) => producer.report(each)))
      expect(receipts.map(({ via }) => via)).toEqual(['api', 'api', 'api'])
      const sent = stub.requests.slice(before).flatMap((request) => request.events)
      expect(sent.map(({ event_id }) => event_id)).toEqual(receipts.map(({ eventId }) => eventId))
      await server.start()
      await waitFor('the queue', async () => (await producer.report(event())).via === 'queue')
    })
  })
})
