import { randomUUID } from 'node:crypto'
import { openRedis, type RedisConnection } from '@tidings/queue/open-redis'
import { STATUS_QUEUE } from '@tidings/queue/policy'
import { countQueuedEvents } from '@tidings/queue/queue-depth'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { identifyEvent } from '@tidings/shared/event-identity'
import { parseExactJson } from '@tidings/shared/json'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import { describeBackends, describeRedis, useReleaser } from '@tidings/stack/testing/test-context'
import type { Queue } from 'bullmq'
import { beforeAll, expect, it } from 'vitest'
import { openProducer } from '../testing/open-producer.ts'
import { TestWorker } from '../testing/test-worker.ts'

const HOUR_MS = 3_600_000
const POLL = { intervalMs: 10 }

/** Starts a job whose delay has not ended. */
async function startNow({ queue }: TestWorker, jobId: string): Promise<void> {
  const job = await queue.getJob(jobId)
  await job?.promote()
}

describeBackends('a job of a producer without our packages', (kind) => {
  const releaser = useReleaser()
  let worker: TestWorker
  let producer: Pick<Queue, 'add'>

  beforeAll(async () => {
    worker = await TestWorker.start(kind, releaser)
    producer = openProducer(worker.backend, releaser)
  })

  /** Marks the job as BullMQ marks one that it will fail without running it. */
  async function failDeferred(jobId: string): Promise<void> {
    const reason = 'as the test says'
    if (worker.backend.kind === 'redis') {
      const redis = releaser.add(
        openRedis(worker.backend, 'patient', () => {}),
        (it) => it.disconnect(),
      )
      await redis.hset(worker.queue.toKey(jobId), 'defa', reason)
      return
    }
    await worker.db.pool.query(
      `UPDATE ${worker.backend.schema}.job SET deferred_failure = $1 WHERE queue = $2 AND id = $3`,
      [reason, STATUS_QUEUE, jobId],
    )
  }

  it('may hold one bare event', async () => {
    const notification_id = randomUUID()
    await producer.add('any name', { notification_id, notification_type: 'push', status: 'sent' })
    const sql = 'SELECT source FROM notification_status WHERE notification_id = $1'
    const found = await waitFor(
      'the row',
      async () => (await worker.db.pool.query(sql, [notification_id])).rows[0],
      POLL,
    )
    expect(found).toEqual({ source: 'queue' })
  })

  it('suppresses nobody, whatever it says of itself', async () => {
    const about = {
      notification_type: 'email',
      recipient: 'ann@example.com',
      timestamp: '2026-01-01T00:00:00Z',
    }
    const accepted = makeEvent({ status: 'complained', recipient: 'bob@example.com' })
    const trusted = { type: 'email', source: 'hook', receivedAt: new Date(), feedback: true } as const
    const complaint = { notification_id: 'n', status: 'complained', recipient: 'carol@example.com' } as const
    for (const feedback of [true, 'yes', '0'.repeat(32)]) {
      await producer.add('x', { ...about, notification_id: randomUUID(), status: 'complained', feedback })
      await producer.add('x', { v: 1, events: [{ ...accepted, id: randomUUID(), feedback }] })
    }
    const real = identifyEvent(complaint, trusted)
    await producer.add('x', { v: 1, events: [real] })
    await worker.untilIdle()
    const { rows } = await worker.db.pool.query(
      `SELECT encode(recipient_digest, 'hex') AS digest FROM suppressions`,
    )
    expect(rows).toEqual([{ digest: real.recipient_digest }])
    const stored = await worker.db.pool.query(
      `SELECT count(*)::int AS n FROM notification_status WHERE status = 'complained'`,
    )
    expect(stored.rows).toEqual([{ n: 7 }])
  })

  it('is buried with all digits of a number beyond 2^53, and apart from an event that differs only there', async () => {
    const notification_id = randomUUID()
    const textWith = (order: string) =>
      JSON.stringify({
        notification_id,
        notification_type: 'push',
        status: 'sent',
        metadata: { order: 0 },
      }).replace('"order":0', `"order":${order}`)
    const texts = [textWith('12345678901234567890'), textWith('12345678901234567891')]
    const good = makeEvent()
    const envelope = `{"v":1,"events":[${[texts[0], JSON.stringify(good)].join(',')}]}`
    await producer.add('any name', parseExactJson(envelope))
    await producer.add('any name', parseExactJson(texts[1] ?? ''))
    const found = await waitFor(
      'the dead letters',
      async () => {
        const letters = (await worker.deadLetters.getJobs(['prioritized'])).map(({ data }) => data)
        const mine = letters.filter(({ event }) => String(event).includes(notification_id))
        return mine.length === 2 ? mine : undefined
      },
      POLL,
    )
    // PostgreSQL orders the fields and puts blanks between them.
    const withoutBlanks = found.map(({ event }) => String(event).replaceAll(' ', ''))
    for (const order of ['12345678901234567890', '12345678901234567891'])
      expect(withoutBlanks.filter((text) => text.includes(`"order":${order}`))).toHaveLength(1)
    for (const { reason, error } of found) {
      expect(reason).toBe('invalid_event')
      expect(error.message).toMatch(/^metadata: Whole numbers in metadata must be within/)
    }
    await worker.untilStored(good)
  })

  it('is removed when its events are stored, whatever its options', async () => {
    const event = makeEvent()
    const job = await producer.add('any name', { v: 1, events: [event] }, { removeOnComplete: false })
    await worker.untilDone(job)
    expect(await worker.findRows(event)).toHaveLength(1)
    expect(await worker.queue.getCompletedCount()).toBe(0)
  })

  it('is buried, whatever its options, when BullMQ gives it up without running it', async () => {
    // BullMQ does so when a job has stalled too often.
    const event = makeEvent()
    const { id = '' } = await producer.add(
      'any name',
      { v: 1, events: [event] },
      { removeOnFail: true, delay: HOUR_MS },
    )
    await failDeferred(id)
    await startNow(worker, id)
    expect(await worker.untilDead(event)).toMatchObject({ reason: 'retries_exhausted' })
    await worker.untilIdle()
  })
})

// PostgreSQL accepts no job that is not JSON.
describeRedis('a job that BullMQ itself cannot read', () => {
  const releaser = useReleaser()
  let worker: TestWorker
  let redis: RedisConnection

  beforeAll(async () => {
    worker = await TestWorker.start('redis', releaser)
    redis = releaser.add(
      openRedis(worker.backend, 'patient', () => {}),
      (it) => it.disconnect(),
    )
  })

  /** Adds a delayed job and overwrites one of its fields in Redis. */
  async function addWithField(data: unknown, field: string, text: string): Promise<string> {
    const { id = '' } = await worker.queue.add('by hand', data, { delay: HOUR_MS, attempts: 1 })
    await redis.hset(worker.queue.toKey(id), field, text)
    return id
  }
  const untilBuried = (what: string, isIt: (letter: DeadLetter) => boolean) =>
    waitFor(
      what,
      async () => (await worker.deadLetters.getJobs(['prioritized'])).map(({ data }) => data).find(isIt),
      POLL,
    )

  it('is buried as text when its data is not JSON, such as the NaN that Python writes', async () => {
    const text = '{"notification_id": "n", "status": "sent", "metadata": {"score": NaN}}'
    const id = await addWithField({}, 'data', text)
    expect(await countQueuedEvents([worker.queue as never])).toBe(1)
    await startNow(worker, id)
    const letter = await untilBuried('the dead letter', ({ event }) => event === text)
    expect(letter).toMatchObject({ reason: 'invalid_event', attempts: 1 })
    await worker.untilIdle()
  })

  it('is buried with the beginning of its data when that is too long to be read', async () => {
    const id = await addWithField({}, 'data', `["huge"${',{}'.repeat(6_000_000)}]`)
    expect(await countQueuedEvents([worker.queue as never])).toBe(1)
    await startNow(worker, id)
    const letter = await untilBuried('the dead letter', ({ source_job_id }) => source_job_id === id)
    expect(letter).toMatchObject({ reason: 'invalid_event', attempts: 1 })
    expect(letter.event).toMatch(/^\["huge",.{64000,66000} … \(18000008 characters\)$/)
    await worker.untilIdle()
  })

  it('is stored when it belongs to a scheduler that BullMQ does not know', async () => {
    const event = makeEvent()
    const id = await addWithField({ v: 1, events: [event] }, 'rjk', 'unknown-scheduler')
    await startNow(worker, id)
    await worker.untilStored(event)
    await worker.untilIdle()
  })
})
