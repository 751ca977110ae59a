import { randomUUID } from 'node:crypto'
import { type Database, openDatabase } from '@tidings/db/database'
import { IngestCounters, readIngestCounts } from '@tidings/db/events/ingest-counters'
import { type Pressure, watchBackpressure } from '@tidings/queue/backpressure'
import { createPublisher, QueueUnavailableError, type StatusPublisher } from '@tidings/queue/publisher'
import { createLogger } from '@tidings/runtime/log'
import { identifyEvent } from '@tidings/shared/event-identity'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import { isStatusEvent, type StatusEvent } from '@tidings/shared/status-event'
import { makeEvent, makeUnresolvedEvent } from '@tidings/shared/testing/make-event'
import { createUnreadableItem } from '@tidings/shared/unreadable-item'
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
import { type Ingest, QueueIngest } from './ingest.ts'

const log = createLogger('test', 'silent')
/** The promise is a second. The rest is for a busy machine; without deadlines there would be no answer. */
const ANSWER_LIMIT_MS = 5_000

describeRedis('accepting events', () => {
  const releaser = useReleaser()
  let db: Database
  let direct: Database
  let redis: RedisServer
  let publisher: StatusPublisher
  let ingest: Ingest
  let counters: IngestCounters
  let pressure: Pressure = { shed: false }

  beforeAll(async () => {
    const database = await createTestDatabase(releaser)
    db = database.database
    // A private Redis, because these tests stop and freeze it.
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
    counters = releaser.add(new IngestCounters(db, () => {}), () => counters.close())
    const opened = await openIngest(redis.url)
    publisher = opened.publisher
    ingest = opened.ingest
  })

  async function openIngest(url: string) {
    const opened = createPublisher({ backend: { kind: 'redis', url, prefix: 't' }, shards: 1, log })
    releaser.add(opened, () => opened.close())
    await waitFor('the publisher', () => opened.isConnected)
    const ingest = new QueueIngest({
      publisher: opened,
      backpressure: {
        get pressure() {
          return pressure
        },
      },
      directDb: direct,
      recipientKey: DEFAULT_RECIPIENT_KEY,
      counters,
      log,
    })
    return { publisher: opened, ingest }
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

  const readCounts = async () => {
    await counters.flush()
    return readIngestCounts(db)
  }
  const countJobs = async () => {
    const counts = (await publisher.queues?.[0]?.getJobCounts('waiting')) ?? {}
    return Object.values(counts).reduce((sum, jobs) => sum + jobs, 0)
  }
  const isStored = async (event: StatusEvent) =>
    (await db.pool.query('SELECT 1 FROM notification_status WHERE id = $1', [event.id])).rows.length === 1
  const outboxIds = async () =>
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

  it('applies the consequences of trusted reports that it stores directly', async () => {
    await redis.stop()
    const report = { notification_id: 'n', status: 'complained', recipient: 'ann@example.com' } as const
    const reception = { type: 'email', source: 'hook', receivedAt: new Date() } as const
    await ingest.accept(identifyEvent({ ...report, recipient: 'forged@example.com' }, reception))
    const event = identifyEvent(report, { ...reception, feedback: true })
    await ingest.accept(event)
    const { rows } = await db.pool.query(`SELECT encode(recipient_digest, 'hex') AS digest FROM suppressions`)
    expect(rows).toEqual([{ digest: event.recipient_digest }])
  })

  it('answers within a second while Redis is frozen', async () => {
    redis.freeze()
    const event = makeEvent()
    const startedAt = performance.now()
    await ingest.accept(event)
    expect(performance.now() - startedAt).toBeLessThan(ANSWER_LIMIT_MS)
    expect(await isStored(event)).toBe(true)
  })

  it('returns to the queue soon after its connection went silent without closing', async () => {
    const proxy = await startTcpProxy(redis.url, releaser)
    const proxied = await openIngest(`redis://127.0.0.1:${proxy.port}`)
    await proxied.ingest.accept(makeEvent())
    const before = await countJobs()
    proxy.silence()
    const event = makeEvent()
    await proxied.ingest.accept(event)
    expect(await isStored(event)).toBe(true)
    await waitFor('the queue path', async () => {
      const next = makeEvent()
      await proxied.ingest.accept(next)
      return (await countJobs()) > before && !(await isStored(next))
    })
  })

  it('puts events that PostgreSQL refuses into the outbox', async () => {
    await redis.stop()
    const orphan = makeEvent({ user_id: randomUUID() })
    await Promise.all([ingest.accept(orphan), ingest.accept(makeEvent())])
    expect(await isStored(orphan)).toBe(false)
    expect(await outboxIds()).toContain(orphan.id)
  })

  it('counts a directly stored repeat as duplicate, and keeps every repeat in the outbox', async () => {
    await redis.stop()
    const before = await readCounts()
    const key = randomUUID()
    const report = { notification_id: 'n', event_id: key }
    await ingest.accept(makeEvent(report))
    await ingest.accept(makeEvent(report))
    expect((await readCounts()).duplicate - before.duplicate).toBe(1)

    const orphan = { notification_id: 'n', event_id: randomUUID(), user_id: randomUUID() }
    await ingest.accept(makeEvent(orphan))
    await ingest.accept(makeEvent(orphan))
    const { id } = makeEvent(orphan)
    expect((await outboxIds()).filter((outboxId) => outboxId === id)).toHaveLength(2)
  })

  it('parks what names no notification while Redis is down, and stores its neighbours', async () => {
    await redis.stop()
    const [event, unresolved] = [makeEvent(), makeUnresolvedEvent()]
    const unreadable = createUnreadableItem({
      ...{ problem: 'status: unknown', provider: 'ses', source: 'hook', receivedAt: new Date() },
      payload: { to: 'a\0b', nested: JSON.parse(`${'['.repeat(5_000)}${']'.repeat(5_000)}`) },
    })
    await ingest.acceptAll([event, unresolved, unreadable])
    expect(await isStored(event)).toBe(true)
    const { rows } = await db.pool.query('SELECT event FROM event_outbox ORDER BY created_at DESC LIMIT 2')
    const parked = rows.map((row) => row.event)
    expect(parked).toHaveLength(2)
    expect(parked).toEqual(expect.arrayContaining([unresolved, unreadable]))
  })

  /** An ingest whose queue takes events and never confirms. */
  function createUnconfirmedIngest() {
    const published: string[] = []
    const unconfirmed = new QueueIngest({
      publisher: {
        publish(items) {
          published.push(...items.filter(isStatusEvent).map(({ id }) => id))
          return new Promise(() => {})
        },
      },
      backpressure: { pressure: { shed: false } },
      directDb: db,
      recipientKey: DEFAULT_RECIPIENT_KEY,
      counters,
      log,
    })
    return { unconfirmed, published }
  }

  it('stores events directly when the queue does not confirm in time', async () => {
    const { unconfirmed } = createUnconfirmedIngest()
    const event = makeEvent()
    await unconfirmed.accept(event)
    expect(await isStored(event)).toBe(true)
  })

  it('refuses an event within a second while both stores hang, and does not store it later', async () => {
    const { unconfirmed, published } = createUnconfirmedIngest()
    const refusedAfterMs = async (event: StatusEvent) => {
      const startedAt = performance.now()
      await expect(unconfirmed.accept(event)).rejects.toMatchObject({ code: 'unavailable' })
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
      // Two envelopes are in flight, so the third event waits.
      answers.push(refusedAfterMs(third))
      for (const ms of await Promise.all(answers)) expect(ms).toBeLessThan(ANSWER_LIMIT_MS)
      expect(published).toEqual([first.id, second.id])
    } finally {
      await locker.query('ROLLBACK')
      locker.release()
    }
    await unconfirmed.drain()
    expect(await Promise.all([first, second, third].map(isStored))).toEqual([true, true, false])
    const next = makeEvent()
    await unconfirmed.accept(next)
    expect(await isStored(next)).toBe(true)
  })

  it('refuses with Retry-After when both stores are away', async () => {
    await redis.stop()
    const nowhere = openDatabase({
      url: 'postgres://nobody@127.0.0.1:1/nothing',
      applicationName: 'nowhere',
      maxConnections: 1,
      connectTimeoutMs: 300,
      onError: () => {},
    })
    const ingest = new QueueIngest({
      publisher,
      backpressure: { pressure },
      directDb: nowhere,
      recipientKey: DEFAULT_RECIPIENT_KEY,
      counters,
      log,
    })
    const before = await readCounts()
    await expect(ingest.accept(makeEvent())).rejects.toMatchObject({
      code: 'unavailable',
      retryAfterSeconds: 2,
    })
    expect((await readCounts()).accepted).toBe(before.accepted)
    await nowhere.close()
  })

  it('uses the queue from the moment it is connected, while PostgreSQL is away too', async () => {
    const nowhere = openDatabase({
      url: 'postgres://nobody@127.0.0.1:1/nothing',
      applicationName: 'nowhere',
      maxConnections: 1,
      connectTimeoutMs: 300,
      onError: () => {},
    })
    let isConnected = false
    const ingest = new QueueIngest({
      publisher: {
        async publish() {
          if (!isConnected) throw new QueueUnavailableError()
        },
      },
      backpressure: { pressure },
      directDb: nowhere,
      counters,
      recipientKey: DEFAULT_RECIPIENT_KEY,
      log,
    })
    for (let time = 0; time < 3; time++)
      await expect(ingest.accept(makeEvent())).rejects.toMatchObject({ code: 'unavailable' })
    isConnected = true
    await ingest.accept(makeEvent())
    await nowhere.close()
  })

  it('refuses while the queue is full', async () => {
    pressure = { shed: true, why: 'depth' }
    await expect(ingest.accept(makeEvent())).rejects.toMatchObject({
      code: 'overloaded',
      retryAfterSeconds: 5,
    })
    await expect(ingest.acceptAll([makeEvent()])).rejects.toMatchObject({ code: 'overloaded' })
  })

  it('does not remember the key of an event that it refused while the queue was full', async () => {
    const report = { notification_id: 'n', event_id: randomUUID() }
    pressure = { shed: true, why: 'depth' }
    await expect(ingest.accept(makeEvent(report))).rejects.toMatchObject({ code: 'overloaded' })
    await expect(ingest.acceptAll([makeEvent(report)])).rejects.toMatchObject({ code: 'overloaded' })
    pressure = { shed: false }
    await ingest.accept(makeEvent({ ...report, status: 'sent' }))
  })

  it('accepts a repeat of a key, and refuses other content under it', async () => {
    const event = makeEvent({ notification_id: 'n', event_id: 'k' })
    await ingest.accept(event)
    await ingest.accept(makeEvent({ notification_id: 'n', event_id: 'k' }))
    const other = makeEvent({ notification_id: 'n', event_id: 'k', status: 'sent' })
    await expect(ingest.accept(other)).rejects.toMatchObject({ code: 'conflict' })
  })

  it('refuses the second of two contents that arrive under one key at the same time', async () => {
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

  it('polls the depth and the memory of the queue', async () => {
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

  it('does not count a queue as full while it is away', async () => {
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
