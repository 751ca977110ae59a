import { randomUUID } from 'node:crypto'
import { type Database, openDatabase } from '@tidings/db/database'
import { readIngestCounts } from '@tidings/db/events/ingest-counters'
import { type Pressure, watchBackpressure } from '@tidings/queue/backpressure'
import { createPublisher, type StatusPublisher } from '@tidings/queue/publisher'
import { createLogger } from '@tidings/runtime/log'
import { identifyEvent } from '@tidings/shared/event-identity'
import { type StatusEvent, statusReportSchema } from '@tidings/shared/status-event'
import type { RedisServer } from '@tidings/stack/servers/redis'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { startTcpProxy } from '@tidings/stack/testing/tcp-proxy'
import {
  createTestDatabase,
  describeRedis,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { createIngest, type Ingest } from './ingest.ts'

const log = createLogger('test', 'silent')

function makeEvent(more: Record<string, unknown> = {}): StatusEvent {
  const report = statusReportSchema.parse({
    notification_id: `n-${randomUUID()}`,
    status: 'delivered',
    ...more,
  })
  return identifyEvent(report, { type: 'email', source: 'test', receivedAt: new Date() })
}

describeRedis('accepting events', () => {
  const releaser = useReleaser()
  let db: Database
  let direct: Database
  let redis: RedisServer
  let publisher: StatusPublisher
  let ingest: Ingest
  let pressure: Pressure = { shed: false }

  beforeAll(async () => {
    const database = await createTestDatabase(releaser)
    db = database.database
    // A Redis of one's own, to be stopped and frozen.
    redis = await startTestRedis(releaser)
    direct = openDatabase({
      url: database.url,
      applicationName: 'direct',
      maxConnections: 2,
      connectTimeoutMs: 500,
      statementTimeoutMs: 500,
      onError: () => {},
    })
    releaser.add(direct, () => direct.close())
    const opened = await openIngest(redis.url)
    publisher = opened.publisher
    ingest = opened.ingest
  })

  async function openIngest(url: string) {
    const opened = createPublisher({ backend: { kind: 'redis', url, prefix: 't' }, shards: 1, log })
    releaser.add(opened, () => opened.close())
    await waitFor('the publisher', () => opened.isConnected)
    const way = createIngest({
      publisher: opened,
      backpressure: {
        get pressure() {
          return pressure
        },
      },
      directPool: direct.pool,
      account: createIngestAccount('api'),
      log,
    })
    return { publisher: opened, ingest: way }
  }

  afterEach(async () => {
    pressure = { shed: false }
    redis.thaw()
    await redis.start()
    await waitFor('the queue path', async () => {
      const before = await countJobs()
      await ingest.accept(makeEvent())
      return (await countJobs()) > before
    })
  })

  const countJobs = async () => {
    const counts = (await publisher.queues?.[0]?.getJobCounts('waiting')) ?? {}
    return Object.values(counts).reduce((sum, jobs) => sum + jobs, 0)
  }
  const isStored = async (event: StatusEvent) =>
    (await db.pool.query('SELECT 1 FROM notification_status WHERE id = $1', [event.id])).rows.length === 1
  const parkedIds = async () =>
    (await db.pool.query<{ id: string }>(`SELECT event ->> 'id' AS id FROM event_outbox`)).rows.map(
      (row) => row.id,
    )

  it('gathers concurrent events into few jobs', async () => {
    const before = await countJobs()
    await Promise.all(Array.from({ length: 200 }, () => ingest.accept(makeEvent())))
    const jobs = (await countJobs()) - before
    expect(jobs).toBeGreaterThan(0)
    expect(jobs).toBeLessThan(20)
  })

  it('stores directly while Redis is down', async () => {
    await redis.stop()
    const events = Array.from({ length: 20 }, () => makeEvent())
    await Promise.all(events.map((event) => ingest.accept(event)))
    expect(await Promise.all(events.map(isStored))).toEqual(events.map(() => true))
  })

  it('answers within a second while Redis is frozen', async () => {
    redis.freeze()
    const event = makeEvent()
    const startedAt = performance.now()
    await ingest.accept(event)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    expect(await isStored(event)).toBe(true)
  })

  it('keeps count of what the queue may have taken too, and not of what it surely did not', async () => {
    const before = ingest.inDoubt
    redis.freeze()
    await ingest.accept(makeEvent())
    expect(ingest.inDoubt - before).toBe(1)
    redis.thaw()
    await redis.stop()
    await waitFor('the connection to be gone', () => !publisher.isConnected)
    await ingest.accept(makeEvent())
    expect(ingest.inDoubt - before).toBe(1)
  })

  it('is back on the queue soon after its connection went silent without an end', async () => {
    const proxy = await startTcpProxy(redis.url, releaser)
    const proxied = await openIngest(`redis://127.0.0.1:${proxy.port}`)
    await proxied.ingest.accept(makeEvent())
    const before = await countJobs()
    proxy.silence()
    const event = makeEvent()
    await proxied.ingest.accept(event)
    expect(await isStored(event)).toBe(true)
    await waitFor(
      'the queue path',
      async () => {
        const next = makeEvent()
        await proxied.ingest.accept(next)
        return (await countJobs()) > before && !(await isStored(next))
      },
      { timeoutMs: 6_000 },
    )
  })

  it('parks what cannot be stored directly, for the worker to judge', async () => {
    await redis.stop()
    const orphan = makeEvent({ user_id: randomUUID() })
    await Promise.all([ingest.accept(orphan), ingest.accept(makeEvent())])
    expect(await isStored(orphan)).toBe(false)
    expect(await parkedIds()).toContain(orphan.id)
  })

  it('books a repeat that is stored directly, and keeps each that is parked', async () => {
    await redis.stop()
    const before = await readIngestTotals(db.pool)
    const key = randomUUID()
    const report = { notification_id: 'n', event_id: key }
    await ingest.accept(makeEvent(report))
    await ingest.accept(makeEvent(report))
    expect((await readIngestTotals(db.pool)).duplicate - before.duplicate).toBe(1)

    const orphan = { notification_id: 'n', event_id: randomUUID(), user_id: randomUUID() }
    await ingest.accept(makeEvent(orphan))
    await ingest.accept(makeEvent(orphan))
    const { id } = makeEvent(orphan)
    expect((await parkedIds()).filter((parked) => parked === id)).toHaveLength(2)
  })

  /** An ingest whose queue takes events and never says so. */
  function createDeafIngest() {
    const published: string[] = []
    const deaf = createIngest({
      publisher: {
        publish(events) {
          published.push(...events.map(({ id }) => id))
          return new Promise(() => {})
        },
      },
      backpressure: { pressure: { shed: false } },
      directPool: db.pool,
      account: createIngestAccount('api'),
      log,
    })
    return { deaf, published }
  }

  it('stores directly what a queue that hangs does not confirm', async () => {
    const { deaf } = createDeafIngest()
    const event = makeEvent()
    await deaf.accept(event)
    expect(await isStored(event)).toBe(true)
  })

  it('answers within a second what waits behind stores that hang, and does not store it later', async () => {
    const { deaf, published } = createDeafIngest()
    const refusedAfterMs = async (event: StatusEvent) => {
      const startedAt = performance.now()
      await expect(deaf.accept(event)).rejects.toMatchObject({ code: 'unavailable' })
      return performance.now() - startedAt
    }
    const [first, second, third] = [makeEvent(), makeEvent(), makeEvent()]
    const locker = await db.pool.connect()
    try {
      await locker.query('BEGIN; LOCK TABLE notification_status, event_outbox')
      const answers = [refusedAfterMs(first)]
      await waitFor('the first envelope', () => published.length === 1)
      answers.push(refusedAfterMs(second))
      await waitFor('the second envelope', () => published.length === 2)
      // No envelope more may be on its way until one of them has come to its end.
      answers.push(refusedAfterMs(third))
      for (const ms of await Promise.all(answers)) expect(ms).toBeLessThan(1_000)
      expect(published).toEqual([first.id, second.id])
    } finally {
      await locker.query('ROLLBACK')
      locker.release()
    }
    await deaf.drain()
    expect(await Promise.all([first, second, third].map(isStored))).toEqual([true, true, false])
    const next = makeEvent()
    await deaf.accept(next)
    expect(await isStored(next)).toBe(true)
  })

  it('refuses with a time to come back when both stores are away', async () => {
    await redis.stop()
    const nowhere = openDatabase({
      url: 'postgres://nobody@127.0.0.1:1/nothing',
      applicationName: 'nowhere',
      maxConnections: 1,
      connectTimeoutMs: 300,
      onError: () => {},
    })
    const homeless = createIngest({
      publisher,
      backpressure: { pressure },
      directPool: nowhere.pool,
      account: createIngestAccount('api'),
      log,
    })
    await expect(homeless.accept(makeEvent())).rejects.toMatchObject({
      code: 'unavailable',
      retryAfterSeconds: 2,
    })
    expect(homeless.accepted).toBe(0)
    await nowhere.close()
  })

  it('refuses while too much is waiting', async () => {
    pressure = { shed: true, why: 'depth' }
    await expect(ingest.accept(makeEvent())).rejects.toMatchObject({
      code: 'overloaded',
      retryAfterSeconds: 5,
    })
    await expect(ingest.acceptAll([makeEvent()])).rejects.toMatchObject({ code: 'overloaded' })
  })

  it('keeps no key of what it refused while too much was waiting', async () => {
    const report = { notification_id: 'n', event_id: randomUUID() }
    pressure = { shed: true, why: 'depth' }
    await expect(ingest.accept(makeEvent(report))).rejects.toMatchObject({ code: 'overloaded' })
    await expect(ingest.acceptAll([makeEvent(report)])).rejects.toMatchObject({ code: 'overloaded' })
    pressure = { shed: false }
    await ingest.accept(makeEvent({ ...report, status: 'sent' }))
  })

  it('refuses other content under a key just used, and accepts a repeat', async () => {
    const event = makeEvent({ notification_id: 'n', event_id: 'k' })
    await ingest.accept(event)
    await ingest.accept(makeEvent({ notification_id: 'n', event_id: 'k' }))
    const other = makeEvent({ notification_id: 'n', event_id: 'k', status: 'sent' })
    await expect(ingest.accept(other)).rejects.toMatchObject({ code: 'conflict' })
  })

  it('refuses the second of two contents that come under one key at the same time', async () => {
    const report = { notification_id: 'n', event_id: randomUUID() }
    const outcomes = await Promise.allSettled([
      ingest.accept(makeEvent(report)),
      ingest.accept(makeEvent({ ...report, status: 'sent' })),
    ])
    expect(outcomes).toMatchObject([
      { status: 'fulfilled' },
      { status: 'rejected', reason: { code: 'conflict' } },
    ])
  })

  it('watches depth and memory by polling', async () => {
    const watch = (maxDepth: number) => {
      const watched = watchBackpressure({ publisher, maxDepth, pollIntervalMs: 60_000 })
      releaser.onRelease(() => watched.close())
      return watched
    }
    await ingest.accept(makeEvent())
    const shallow = watch(1)
    await shallow.poll()
    expect(shallow.pressure).toEqual({ shed: true, why: 'depth' })
    const deep = watch(1_000_000)
    await deep.poll()
    expect(deep.pressure).toEqual({ shed: false })
    await publisher.redis?.config('SET', 'maxmemory', '1mb')
    await deep.poll()
    expect(deep.pressure).toEqual({ shed: true, why: 'memory' })
    await publisher.redis?.config('SET', 'maxmemory', '0')
  })

  it('takes what is stored directly while a full queue is away', async () => {
    const watched = watchBackpressure({ publisher, maxDepth: 1, pollIntervalMs: 60_000 })
    releaser.onRelease(() => watched.close())
    await ingest.accept(makeEvent())
    await watched.poll()
    expect(watched.pressure).toEqual({ shed: true, why: 'depth' })
    await redis.stop()
    await waitFor('the publisher to notice', () => !publisher.isConnected)
    expect(watched.pressure).toEqual({ shed: false })
    await redis.start()
    await waitFor('the publisher', () => publisher.isConnected)
    expect(watched.pressure).toEqual({ shed: true, why: 'depth' })
  })
})
