import { randomUUID } from 'node:crypto'
import {
  type JobQueue,
  openQueue,
  openRedis,
  openWorker,
  prepareQueueBackend,
  type QueueBackend,
} from '@tidings/queue/backend'
import { buryEvents, type DeadLetterQueue } from '@tidings/queue/dead-letters'
import { DEAD_LETTER_QUEUE, ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS, STATUS_QUEUE } from '@tidings/queue/policy'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { identifyEvent } from '@tidings/shared/event-identity'
import type { StatusEvent } from '@tidings/shared/status-event'
import { createTestBackend, describeBackends, useReleaser } from '@tidings/stack/test-context'
import { DelayedError, type Job } from 'bullmq'
import pg from 'pg'
import { beforeAll, beforeEach, expect, it } from 'vitest'
import type { BatchWriter, WriteResult } from './batch-writer.ts'
import { type EnvelopeContext, processEnvelope } from './process-envelope.ts'

const TOKEN = 'token'
const ignore = () => {}

const makeEvent = (): StatusEvent =>
  identifyEvent(
    { notification_id: `n-${randomUUID()}`, status: 'sent' },
    { type: 'email', source: 'test', receivedAt: new Date() },
  )

// Job by job, by hand: what happens between two steps of one.
describeBackends('processing one job', (kind) => {
  const releaser = useReleaser()
  let queue: JobQueue<unknown>
  let dead: DeadLetterQueue
  let takeJob: () => Promise<Job>

  beforeAll(async () => {
    const backend: QueueBackend = await createTestBackend(kind, releaser)
    await prepareQueueBackend(backend)
    const onError = ignore
    const redis = backend.kind === 'redis' ? openRedis(backend.url, 'patient', onError) : undefined
    releaser.onRelease(() => redis?.disconnect())
    queue = openQueue<unknown>(STATUS_QUEUE, backend, redis, { onError })
    dead = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, { onError })
    const worker = openWorker<unknown>(STATUS_QUEUE, backend, async () => {}, { autorun: false })
    worker.on('error', onError)
    for (const part of [queue, dead, worker]) releaser.onRelease(() => part.close())
    takeJob = async () => {
      const job = await worker.getNextJob(TOKEN)
      if (job === undefined) throw new Error('There is a job')
      return job as Job
    }
  })
  beforeEach(async () => {
    await queue.obliterate({ force: true })
    await dead.obliterate({ force: true })
  })

  function contextWith(more: Partial<EnvelopeContext> = {}): EnvelopeContext {
    const result = (outcome: 'stored'): WriteResult => ({ outcome })
    const writer: BatchWriter = {
      write: async (events) => events.map(() => result('stored')),
      writeAlone: async () => result('stored'),
      drain: async () => {},
    }
    return {
      writer,
      onOpened: ignore,
      bury: (deaths) => buryEvents(dead, deaths),
      bookRepeats: async () => {},
      onOutage: ignore,
      count: { stored: ignore, duplicate: ignore, dead: ignore, retried: ignore },
      quarantine: { occupied: false },
      ...more,
    }
  }
  const enqueue = (events: unknown[]) => queue.add(ENVELOPE_JOB, { v: 1, events }, ENVELOPE_JOB_OPTIONS)
  const databaseError = (code: string) =>
    Object.assign(new pg.DatabaseError('as the test says', 0, 'error'), { code })

  it.each(['bury', 'bookRepeats'] as const)(
    'goes back without losing an attempt when PostgreSQL goes away after the rows (%s)',
    async (step) => {
      await enqueue([makeEvent(), 'no event', 'no event'])
      const outages: string[] = []
      const away = () => Promise.reject(databaseError('57P01'))
      const more: Partial<EnvelopeContext> = step === 'bury' ? { bury: away } : { bookRepeats: away }
      const duplicate: WriteResult = { outcome: 'duplicate' }
      const context = contextWith({
        writer: { ...contextWith().writer, write: async (events) => events.map(() => duplicate) },
        onOutage: ({ code }) => outages.push(code),
        ...more,
      })
      await expect(processEnvelope(await takeJob(), TOKEN, context)).rejects.toBeInstanceOf(DelayedError)
      expect(outages).toEqual(['57P01'])
      expect((await queue.getDelayed()).map((job) => job.attemptsMade)).toEqual([0])
    },
  )

  it('counts an attempt for any other failure there', async () => {
    await enqueue(['no event'])
    const locked = databaseError('55P03')
    const context = contextWith({ bury: () => Promise.reject(locked) })
    await expect(processEnvelope(await takeJob(), TOKEN, context)).rejects.toBe(locked)
  })

  it('asks a store that is away once for a suspect, not for each of its events', async () => {
    await enqueue(Array.from({ length: 50 }, makeEvent))
    const job = await takeJob()
    job.stalledCounter = 2
    let asked = 0
    const context = contextWith({
      writer: {
        ...contextWith().writer,
        async writeAlone() {
          asked++
          return { outcome: 'outage', error: { code: '57P01', message: 'away' } }
        },
      },
    })
    await expect(processEnvelope(job, TOKEN, context)).rejects.toBeInstanceOf(DelayedError)
    expect(asked).toBe(1)
    expect(context.quarantine.occupied).toBe(false)
  })
})
