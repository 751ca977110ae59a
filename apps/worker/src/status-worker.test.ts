import { randomUUID } from 'node:crypto'
import type { Database } from '@tidings/db/database'
import { addToOutbox } from '@tidings/db/events/event-outbox'
import { readIngestCounts } from '@tidings/db/events/ingest-counters'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { recordErasure } from '@tidings/db/users/erased-users'
import { type JobQueue, prepareQueueBackend, type QueueBackend } from '@tidings/queue/backend'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS, STATUS_QUEUE } from '@tidings/queue/policy'
import { countQueuedEvents } from '@tidings/queue/queue-depth'
import { createLifecycle, type Lifecycle } from '@tidings/runtime/lifecycle'
import { createLogger } from '@tidings/runtime/log'
import { identifyEvent } from '@tidings/shared/event-identity'
import { type StatusEvent, statusReportSchema } from '@tidings/shared/status-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  createTestDatabase,
  describeBackends,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { createPostgresBackend, type JobsOptions, Queue } from 'bullmq'
import { Redis } from 'ioredis'
import pg from 'pg'
import { beforeAll, expect, it } from 'vitest'
import type { Store } from './jobs/batch-writer.ts'
import type { StatusWorker } from './status-worker.ts'
import { startTestWorker } from './testing/start-test-worker.ts'

const log = createLogger('test', 'silent')

function makeEvent(more: Record<string, unknown> = {}, type: 'email' | 'push' = 'email'): StatusEvent {
  const report = statusReportSchema.parse({
    notification_id: `n-${randomUUID()}`,
    status: 'delivered',
    ...more,
  })
  return identifyEvent(report, { type, source: 'test', receivedAt: new Date() })
}

describeBackends('the worker', (kind) => {
  const releaser = useReleaser()
  let db: Database
  let backend: QueueBackend
  let lifecycle: Lifecycle
  let worker: StatusWorker
  let queue: JobQueue<unknown>
  /** Plain BullMQ, as somebody without our packages has it. */
  let producer: Pick<Queue, 'add' | 'close'>
  const userId = randomUUID()
  /** Events of these providers meet this SQLSTATE; the database itself is sound. */
  const failing = new Map<string, string>()
  const attempts = new Map<string, number>()

  beforeAll(async () => {
    const database = await createTestDatabase(releaser)
    db = database.database
    backend = await createTestBackend(kind, releaser, database)
    await prepareQueueBackend(backend)
    await db.pool.query(
      `INSERT INTO users (id, email, name, password) VALUES ($1, 'a@example.com', 'A', '!')`,
      [userId],
    )
    lifecycle = createLifecycle(log)
    releaser.onRelease(() => lifecycle.release())
    const accounts = [createIngestAccount('worker'), createIngestAccount('worker')]
    const store: Store = (events, lane) => {
      for (const event of events) attempts.set(event.id, (attempts.get(event.id) ?? 0) + 1)
      const code = events
        .map((event) => failing.get(event.provider ?? ''))
        .find((found) => found !== undefined)
      if (code !== undefined) return Promise.reject(databaseError(code))
      return storeStatusEvents(db, events, accounts[lane] ?? createIngestAccount('worker'))
    }
    worker = await startTestWorker({ db, backend, lifecycle, store })
    const [first] = worker.queues
    if (!first) throw new Error('There is a queue')
    queue = first
    producer =
      backend.kind === 'redis'
        ? new Queue(STATUS_QUEUE, { connection: { url: backend.url }, prefix: backend.prefix })
        : new Queue(
            STATUS_QUEUE,
            { connection: { connectionString: backend.url, schema: backend.schema } },
            createPostgresBackend,
          )
    releaser.onRelease(() => producer.close())
  })

  const enqueue = (...events: unknown[]) => queue.add(ENVELOPE_JOB, { v: 1, events }, ENVELOPE_JOB_OPTIONS)
  const findRows = async (...events: StatusEvent[]) =>
    (
      await db.pool.query('SELECT * FROM notification_status WHERE id = ANY($1::uuid[])', [
        events.map((e) => e.id),
      ])
    ).rows
  const untilStored = (...events: StatusEvent[]) =>
    waitFor('rows', async () => (await findRows(...events)).length === events.length)
  const untilDead = (id: string) =>
    waitFor(`dead letter ${id}`, () => worker.deadLetters.getJob(`dead-${id}`), { timeoutMs: 30_000 })
  const untilIdle = () =>
    waitFor('the queue to be empty', async () => {
      const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'failed')
      return Object.values(counts).every((jobs) => jobs === 0)
    })

  /** What BullMQ notes of a job that it will fail without running it. */
  async function giveUp(jobId: string) {
    const reason = 'as the test says'
    if (backend.kind === 'redis') {
      const redis = releaser.add(new Redis(backend.url), (it) => it.disconnect())
      await redis.hset(queue.toKey(jobId), 'defa', reason)
      return
    }
    await db.pool.query(
      `UPDATE ${backend.schema}.job SET deferred_failure = $1 WHERE queue = $2 AND id = $3`,
      [reason, STATUS_QUEUE, jobId],
    )
  }

  it('stores an envelope whole and removes the job', async () => {
    const events = [
      makeEvent({
        user_id: userId,
        status: 'bounced',
        error: { code: '550', class: 'permanent', message: 'no such mailbox' },
        attempt: 2,
        provider: 'ses',
        provider_message_id: 'm-1',
        metadata: { campaign: 'ä' },
        event_id: 'e-1',
      }),
      makeEvent({}, 'push'),
    ]
    await enqueue(...events)
    await untilStored(...events)
    const [row] = (await findRows(...events)).filter((found) => found.event_id === 'e-1')
    expect(row).toMatchObject({
      user_id: userId,
      notification_type: 'email',
      status: 'bounced',
      error: 'no such mailbox',
      error_code: '550',
      error_class: 'permanent',
      attempt: 2,
      provider: 'ses',
      provider_message_id: 'm-1',
      metadata: { campaign: 'ä' },
      source: 'test',
    })
    await untilIdle()
  })

  it('stores an event once however often it is enqueued', async () => {
    const event = makeEvent({ event_id: randomUUID() })
    await Promise.all([enqueue(event, event), enqueue(event), enqueue(event)])
    await untilStored(event)
    await untilIdle()
    expect(await findRows(event)).toHaveLength(1)
    const totals = await readIngestTotals(db.pool)
    expect(totals.duplicate).toBe(3)
  })

  it('stores a bare event as a producer in another language writes it', async () => {
    const notification_id = `bare-${randomUUID()}`
    await queue.add('anything', { notification_id, notification_type: 'push', status: 'sent' })
    await waitFor('the row', async () => {
      const { rows } = await db.pool.query(
        'SELECT source FROM notification_status WHERE notification_id = $1',
        [notification_id],
      )
      return rows[0]?.source === 'queue'
    })
  })

  it('tries every job as often and as soon as our own, and keeps it, whatever its producer asked for', async () => {
    const year = 365 * 24 * 3_600_000
    const wishes: JobsOptions[] = [
      {},
      { attempts: 1, removeOnFail: true },
      { attempts: 4, removeOnFail: { count: 0 } },
      { attempts: 1_000 },
      { attempts: 4, backoff: { type: 'of our own' } },
      { attempts: 4, backoff: { type: 'fixed', delay: year } },
    ]
    failing.set('careless', '55P03')
    const events = await Promise.all(
      wishes.map(async (opts) => {
        const event = makeEvent({ provider: 'careless' })
        await producer.add('anything', { v: 1, events: [event] }, opts)
        return event
      }),
    )
    for (const event of events) {
      const { data } = await untilDead(event.id)
      expect(data).toMatchObject({ reason: 'retries_exhausted', attempts: 4, error: { code: '55P03' } })
    }
    await untilIdle()
  })

  it('removes what is done, whatever its producer asked for', async () => {
    const event = makeEvent()
    await producer.add('anything', { v: 1, events: [event] }, { removeOnComplete: false })
    await untilStored(event)
    await untilIdle()
    expect(await queue.getCompletedCount()).toBe(0)
  })

  it('loses no job that BullMQ gives up before anybody looks into it, whatever its producer asked for', async () => {
    // As it does after the sixth death of a worker.
    const event = makeEvent()
    const { id = '' } = await producer.add(
      'anything',
      { v: 1, events: [event] },
      { removeOnFail: true, delay: 3_600_000 },
    )
    await giveUp(id)
    await (await queue.getJob(id))?.promote()
    expect((await untilDead(event.id)).data).toMatchObject({ reason: 'retries_exhausted' })
    await untilIdle()
  })

  it('buries an event of an unknown user at once, and stores its neighbours', async () => {
    const orphan = makeEvent({ user_id: randomUUID() })
    const neighbour = makeEvent({ user_id: userId })
    await enqueue(orphan, neighbour)
    const dead = await untilDead(orphan.id)
    expect(dead.data).toMatchObject({
      event: { id: orphan.id },
      reason: 'unknown_user',
      attempts: 1,
      redrives: 0,
    })
    await untilStored(neighbour)
    expect(await findRows(orphan)).toEqual([])
  })

  it('buries what was on its way when its user was erased without saying whose it was', async () => {
    const [erased, other] = [randomUUID(), randomUUID()]
    await recordErasure(db, erased)
    const texts = { error: 'no such box: ada@example.com', metadata: { to: 'ada@example.com' } }
    const theirs = makeEvent({ user_id: erased, ...texts })
    const unreadable = { ...makeEvent({ user_id: erased, ...texts }), status: 'no such status' }
    const kept = makeEvent({ user_id: other, ...texts })
    await enqueue(theirs, unreadable, kept)

    const { notification_id, status } = theirs
    const letter = (await untilDead(theirs.id)).data
    expect(letter).toMatchObject({
      event: { id: theirs.id, notification_id, status, error: '[erased]' },
      reason: 'unknown_user',
      error: { message: '[erased]' },
    })
    for (const data of [letter, (await untilDead(unreadable.id)).data]) {
      expect(JSON.stringify(data)).not.toMatch(new RegExp(`${erased}|ada@`))
    }
    expect((await untilDead(kept.id)).data).toMatchObject({ event: { user_id: other, ...texts } })
  })

  it('clears whoever was erased between the tries out of an event that runs out of them', async () => {
    failing.set('erased-meanwhile', '55P03')
    const event = makeEvent({ user_id: userId, provider: 'erased-meanwhile', error: 'ada@example.com' })
    await enqueue(event)
    await waitFor('a first try', async () => (attempts.get(event.id) ?? 0) > 0)
    await recordErasure(db, userId)
    const { data } = await untilDead(event.id)
    await db.pool.query('DELETE FROM erased_users')
    expect(data).toMatchObject({ reason: 'retries_exhausted', error: { message: '[erased]' } })
    expect(data.history.map((attempt) => attempt.message)).toEqual(Array(4).fill('[erased]'))
    expect(JSON.stringify(data)).not.toMatch(new RegExp(`${userId}|ada@`))
  })

  it('books an event that is dead already, and comes again, as a repeat', async () => {
    const orphan = makeEvent({ user_id: randomUUID(), event_id: randomUUID() })
    const before = await readIngestTotals(db.pool)
    await enqueue(orphan, orphan)
    await untilDead(orphan.id)
    await untilIdle()
    await enqueue(orphan)
    await untilIdle()
    const after = await readIngestTotals(db.pool)
    expect(after.duplicate - before.duplicate).toBe(2)
  })

  it('buries what is not an event, and stores its neighbours', async () => {
    // PostgreSQL's jobs cannot even carry a NUL; Redis's can.
    const bad = { ...makeEvent(), redrives: 2, provider: kind === 'redis' ? 'a\0b' : 'x'.repeat(1_000) }
    const neighbour = makeEvent()
    await enqueue(bad, neighbour)
    expect((await untilDead(bad.id)).data).toMatchObject({
      reason: 'invalid_event',
      attempts: 1,
      redrives: 2,
    })
    await untilStored(neighbour)
  })

  it('buries another content under a used idempotency key as a conflict', async () => {
    const key = randomUUID()
    const first = makeEvent({ event_id: key })
    const second = makeEvent({ event_id: key, status: 'sent' })
    await enqueue(first)
    await untilStored(first)
    await enqueue(second)
    expect((await untilDead(contentId(second))).data).toMatchObject({
      reason: 'conflict',
      event: { status: 'sent' },
    })
    expect(await findRows(first)).toMatchObject([{ status: 'delivered' }])
  })

  it('buries each of two contents under one key that both die, in one job or in two', async () => {
    const user_id = randomUUID()
    const [first, second, third] = ['delivered', 'sent', 'pending'].map((status) =>
      makeEvent({ event_id: 'both-die', notification_id: 'n', user_id, status }),
    ) as [StatusEvent, StatusEvent, StatusEvent]
    const before = await readIngestTotals(db.pool)
    await enqueue(first, second)
    expect((await untilDead(first.id)).data.event).toMatchObject({ status: 'delivered' })
    expect((await untilDead(contentId(second))).data.event).toMatchObject({ status: 'sent' })
    await enqueue(third, second)
    expect((await untilDead(contentId(third))).data.event).toMatchObject({ status: 'pending' })
    await untilIdle()
    const after = await readIngestTotals(db.pool)
    // Only the second one came twice.
    expect(after.duplicate - before.duplicate).toBe(1)
  })

  it('buries what is no JSON, as Python writes NaN, and counts it meanwhile', async () => {
    // PostgreSQL takes no such job.
    if (backend.kind !== 'redis') return
    const text = '{"notification_id": "n", "status": "sent", "metadata": {"score": NaN}}'
    const { id = '' } = await queue.add('python', {}, { delay: 2_000, attempts: 1 })
    const redis = releaser.add(new Redis(backend.url), (it) => it.disconnect())
    await redis.hset(queue.toKey(id), 'data', text)
    expect(await countQueuedEvents([queue as JobQueue<object>])).toBe(1)
    const dead = await waitFor('the dead letter', async () =>
      (await worker.deadLetters.getJobs(['prioritized'])).find((job) => job.data.event === text),
    )
    expect(dead.data).toMatchObject({ reason: 'invalid_event', attempts: 1 })
    await untilIdle()
  })

  it('buries what is far too large to be read, with its beginning', async () => {
    // PostgreSQL has it read before anybody could tell.
    if (backend.kind !== 'redis') return
    const redis = releaser.add(new Redis(backend.url), (it) => it.disconnect())
    const { id = '' } = await queue.add('by hand', {}, { delay: 2_000 })
    await redis.hset(queue.toKey(id), 'data', `["huge"${',{}'.repeat(6_000_000)}]`)
    expect(await countQueuedEvents([queue as JobQueue<object>])).toBe(1)
    const dead = await waitFor('the dead letter', async () =>
      (await worker.deadLetters.getJobs(['prioritized'])).find((job) => job.data.source_job_id === id),
    )
    expect(dead.data).toMatchObject({ reason: 'invalid_event', attempts: 1 })
    expect(dead.data.event).toMatch(/^\["huge",.{64000,66000} … \(18000008 characters\)$/)
    await untilIdle()
  })

  it('stores the event of a job with options and fields that are no JSON, and counts it meanwhile', async () => {
    // PostgreSQL takes no such job.
    if (backend.kind !== 'redis') return
    const redis = releaser.add(new Redis(backend.url), (it) => it.disconnect())
    const broken: [string, string][] = [
      ['opts', '{"attempts": 4'],
      ['opts', 'null'],
      ['progress', 'NaN'],
      ['parent', '{"id":'],
      // Of a scheduler whose next run BullMQ cannot plan.
      ['rjk', 'of-nobody'],
    ]
    const events = await Promise.all(
      broken.map(async ([field, text]) => {
        const event = makeEvent()
        const { id = '' } = await queue.add('by hand', { v: 1, events: [event] }, { delay: 3_000 })
        await redis.hset(queue.toKey(id), field, text)
        return event
      }),
    )
    expect(await countQueuedEvents([queue as JobQueue<object>])).toBe(events.length)
    await untilStored(...events)
    await untilIdle()
  })

  it('buries two unreadable events that a producer gave one id, each once', async () => {
    const id = randomUUID()
    const unreadable = (status: string) => ({ ...makeEvent(), id, notification_id: 'n', status })
    const [first, second] = [unreadable('lost'), unreadable('found')]
    await enqueue(first)
    await untilDead(id)
    await enqueue(second, first)
    await untilIdle()
    await enqueue(second)
    await untilIdle()
    const dead = (await worker.deadLetters.getJobs(['prioritized'])).filter((job) =>
      job.id?.startsWith(`dead-${id}`),
    )
    expect(dead.map((job) => (job.data.event as StatusEvent).status).toSorted()).toEqual(['found', 'lost'])
  })

  it('buries what runs out of tries under a key whose row has other content', async () => {
    const report = { event_id: randomUUID(), notification_id: 'n' }
    const stored = makeEvent(report)
    await enqueue(stored)
    await untilStored(stored)
    failing.set('never-judged', '55P03')
    const other = makeEvent({ ...report, provider: 'never-judged' })
    expect(other.id).toBe(stored.id)
    await enqueue(other)
    expect((await untilDead(other.id)).data).toMatchObject({
      reason: 'retries_exhausted',
      event: { provider: 'never-judged' },
    })
    await untilIdle()
  })

  it('books a repeat that runs out of tries, and makes no dead letter of it', async () => {
    const event = makeEvent({ event_id: randomUUID(), provider: 'later-unlucky' })
    await enqueue(event)
    await untilStored(event)
    const before = await readIngestTotals(db.pool)
    failing.set('later-unlucky', '55P03')
    await enqueue(event)
    await waitFor('the tries', () => (attempts.get(event.id) ?? 0) === 5, { timeoutMs: 30_000 })
    await untilIdle()
    const after = await readIngestTotals(db.pool)
    expect(after.redelivered - before.redelivered).toBe(1)
    expect(await worker.deadLetters.getJob(`dead-${event.id}`)).toBeUndefined()
  })

  it('tries a transient failure exactly four times, then buries it; neighbours are stored at once', async () => {
    failing.set('unlucky', '55P03')
    const unlucky = makeEvent({ provider: 'unlucky' })
    const neighbours = Array.from({ length: 20 }, () => makeEvent())
    await enqueue(...neighbours.slice(0, 10), unlucky, ...neighbours.slice(10))
    await untilStored(...neighbours)
    const dead = await untilDead(unlucky.id)
    expect(dead.data).toMatchObject({ reason: 'retries_exhausted', attempts: 4, error: { code: '55P03' } })
    expect(dead.data.history.map((attempt) => attempt.code)).toEqual(['55P03', '55P03', '55P03', '55P03'])
    expect(dead.data.history.map((attempt) => attempt.at)).toEqual(
      dead.data.history.map((attempt) => attempt.at).toSorted(),
    )
    await untilIdle()
  })

  it('buries a permanent failure after one try', async () => {
    failing.set('too-long', '22001')
    const permanent = makeEvent({ provider: 'too-long' })
    await enqueue(permanent, makeEvent())
    expect((await untilDead(permanent.id)).data).toMatchObject({ reason: 'invalid_event', attempts: 1 })
  })

  it('waits out an outage without counting an attempt', async () => {
    failing.set('outage', '57P03')
    const event = makeEvent({ provider: 'outage' })
    await enqueue(event)
    await waitFor('several tries', () => (attempts.get(event.id) ?? 0) >= 2, { timeoutMs: 20_000 })
    const jobs = await queue.getJobs(['delayed', 'active', 'waiting'])
    expect(jobs.map((job) => job.attemptsMade)).toEqual([0])
    failing.delete('outage')
    await untilStored(event)
  })

  it('puts parked events on the queue', async () => {
    const event = makeEvent()
    await addToOutbox(db, [event], 'the test says so')
    await untilStored(event)
    const { rows } = await db.pool.query('SELECT id FROM event_outbox')
    expect(rows).toEqual([])
  })
})

/** Of a dead letter whose event shares its id with another content. */
const contentId = (event: StatusEvent) => `${event.id}-${event.content_hash?.slice(0, 8)}`

function databaseError(code: string): Error {
  const error = new pg.DatabaseError('as the test says', 0, 'error')
  error.code = code
  return error
}
