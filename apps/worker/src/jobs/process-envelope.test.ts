import { randomUUID } from 'node:crypto'
import {
  type JobQueue,
  openQueue,
  openRedis,
  openWorker,
  prepareQueueBackend,
  type QueueBackend,
} from '@tidings/queue/backend'
import type { DeadLetterQueue, findBuried } from '@tidings/queue/dead-letters/bury'
import {
  DEAD_LETTER_QUEUE,
  ENVELOPE_JOB,
  ENVELOPE_JOB_OPTIONS,
  STATUS_QUEUE,
  shardNames,
} from '@tidings/queue/policy'
import { bury } from '@tidings/queue/testing/dead-letter-fixtures'
import type { DeadLetter } from '@tidings/shared/dead-letter'
import { identifyEvent } from '@tidings/shared/event-identity'
import type { StatusEvent } from '@tidings/shared/status-event'
import { waitFor } from '@tidings/stack/servers/wait-for'
import {
  createTestBackend,
  describeBackends,
  describeRedis,
  startTestRedis,
  useReleaser,
} from '@tidings/stack/testing/test-context'
import { DelayedError, type Job } from 'bullmq'
import pg from 'pg'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { BatchWriter, WriteResult } from './batch-writer.ts'
import { type EnvelopeContext, JobLockLostError, processEnvelope } from './process-envelope.ts'

const TOKEN = 'token'
const ignore = () => {}

const makeEvent = (more: { event_id?: string } = {}): StatusEvent =>
  identifyEvent(
    { notification_id: `n-${randomUUID()}`, status: 'sent', ...more },
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
      bury: (failedEvents) => bury(dead, failedEvents),
      findBuried: (events, sourceJobId) => findBuried(dead, events, sourceJobId),
      onRows: ignore,
      onSettleError: ignore,
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

  it.each(['bury', 'bookRepeats', 'findBuried'] as const)(
    'goes back without losing an attempt when the dead letters cannot be written or read (%s), and says so',
    async (step) => {
      const full = new Error('OOM command not allowed')
      const refuse = () => Promise.reject(full)
      const troubles: unknown[] = []
      const duplicate: WriteResult = { outcome: 'duplicate' }
      const context = contextWith({
        writer: { ...contextWith().writer, write: async (events) => events.map(() => duplicate) },
        onSettleError: (error) => void troubles.push(error),
        [step]: refuse,
      })
      await enqueue([makeEvent(), 'no event', 'no event'])
      const job = await takeJob()
      job.attemptsStarted = 2
      await expect(processEnvelope(job, TOKEN, context)).rejects.toBeInstanceOf(DelayedError)
      expect(troubles).toEqual([
        new Error(`job ${job.id} is not settled, comes again: OOM command not allowed`, { cause: full }),
      ])
      const [delayed] = await queue.getDelayed()
      expect(delayed).toMatchObject({ id: job.id, attemptsMade: 0 })
      // It was stuck before: the second time it waits for twice as long.
      expect(delayed?.delay).toBeGreaterThan(1_500)
    },
  )

  it('buries nothing of a job that another worker has by now', async () => {
    const added: number[] = []
    const context = contextWith({
      async bury(failedEvents, beforeAdding) {
        await beforeAdding?.()
        added.push(failedEvents.length)
        return 0
      },
    })
    await enqueue(['no event'])
    const job = await takeJob()
    // As it is for a worker that was frozen: the lock is held with another token.
    await expect(processEnvelope(job, 'former-token', context)).rejects.toBeInstanceOf(JobLockLostError)
    expect(added).toEqual([])
    await processEnvelope(job, TOKEN, context)
    expect(added).toEqual([1])
  })

  it('goes back without losing an attempt when what is left cannot be noted in the job', async () => {
    const event = makeEvent()
    await enqueue([event])
    const job = await takeJob()
    job.updateData = () => Promise.reject(new Error('OOM command not allowed'))
    const retry: WriteResult = { outcome: 'retry', error: { code: '55P03', message: 'locked' } }
    const context = contextWith({ writer: { ...contextWith().writer, write: async () => [retry] } })
    await expect(processEnvelope(job, TOKEN, context)).rejects.toBeInstanceOf(DelayedError)
    expect((await queue.getDelayed()).map((delayed) => delayed.attemptsMade)).toEqual([0])
  })

  it('goes back when the queue is where the rows are, and so is away too', async () => {
    await enqueue([makeEvent()])
    const job = await takeJob()
    const moveToDelayed = job.moveToDelayed.bind(job)
    const answers = ['ECONNREFUSED', '57P03'].map((code) =>
      code === '57P03' ? databaseError(code) : Object.assign(new Error('away'), { code }),
    )
    job.moveToDelayed = async (...args) => {
      const error = answers.shift()
      if (error) throw error
      await moveToDelayed(...args)
    }
    const away: WriteResult = { outcome: 'outage', error: { code: '57P01', message: 'away' } }
    const context = contextWith({ writer: { ...contextWith().writer, write: async () => [away] } })
    await expect(processEnvelope(job, TOKEN, context)).rejects.toBeInstanceOf(DelayedError)
    expect(answers).toEqual([])
    expect((await queue.getDelayed()).map((delayed) => delayed.attemptsMade)).toEqual([0])
  })

  describe('an event that a former run of its job buried', () => {
    const unknownUser: WriteResult = {
      outcome: 'dead',
      reason: 'unknown_user',
      error: { code: 'unknown_user', message: 'There is no such user' },
    }
    const writerOf = (write: BatchWriter['write']) => ({ ...contextWith().writer, write })
    /** Gives each event the same outcome, and notes which were written. */
    const writerNoting = (written: StatusEvent[], outcome: 'stored' | 'duplicate') =>
      writerOf(async (events) => {
        written.push(...events)
        return events.map(() => ({ outcome }))
      })

    it.each(['with', 'without'])('stays dead, %s a key, though it could be stored by now', async (key) => {
      const more = key === 'with' ? { event_id: randomUUID() } : {}
      const [orphan, neighbour] = [makeEvent(more), makeEvent()]
      await enqueue([orphan, neighbour])
      const job = await takeJob()
      const first = contextWith({
        writer: writerOf(async (events) =>
          events.map((event) => (event.id === orphan.id ? unknownUser : { outcome: 'stored' as const })),
        ),
      })
      await processEnvelope(job, TOKEN, first)
      // The worker was killed here, before the job was completed, and the user was registered meanwhile.
      job.attemptsStarted = 2
      const written: StatusEvent[] = []
      const booked: unknown[] = []
      const second = contextWith({
        writer: writerNoting(written, 'duplicate'),
        bookRepeats: async (repeats) => void booked.push(repeats),
      })
      await processEnvelope(job, TOKEN, second)
      expect(written.map(({ id }) => id)).toEqual([neighbour.id])
      expect(booked).toEqual([{ duplicate: 0, redelivered: 2 }])
      expect(await dead.getJobCountByTypes('prioritized', 'waiting')).toBe(1)
    })

    it('is stored when an operator sent it back', async () => {
      const orphan = makeEvent()
      await enqueue([orphan])
      const job = await takeJob()
      await processEnvelope(job, TOKEN, contextWith({ writer: writerOf(async () => [unknownUser]) }))
      await (await dead.getJob(`dead-${orphan.id}`))?.remove()
      job.attemptsStarted = 2
      const written: StatusEvent[] = []
      const context = contextWith({
        writer: writerNoting(written, 'stored'),
      })
      await processEnvelope(job, TOKEN, context)
      expect(written.map(({ id }) => id)).toEqual([orphan.id])
    })

    it.each(['of another number', 'of the same number in another shard'])(
      'is tried again when it was another job that buried it, %s: it was sent again',
      async (which) => {
        const orphan = makeEvent({ event_id: randomUUID() })
        await enqueue([orphan])
        const first = await takeJob()
        await processEnvelope(first, TOKEN, contextWith({ writer: writerOf(async () => [unknownUser]) }))
        await enqueue([orphan])
        const again = which === 'of another number' ? await takeJob() : first
        if (again === first) Object.defineProperty(again, 'queueName', { value: shardNames(2)[1] })
        again.attemptsStarted = 2
        const written: StatusEvent[] = []
        const rows: StatusEvent[] = []
        const context = contextWith({
          writer: writerNoting(written, 'stored'),
          onRows: (events) => void rows.push(...events),
        })
        await processEnvelope(again, TOKEN, context)
        expect([written, rows].map((events) => events.map(({ id }) => id))).toEqual([
          [orphan.id],
          [orphan.id],
        ])
      },
    )

    it('is not looked for the first time', async () => {
      await enqueue([makeEvent()])
      let asked = 0
      const context = contextWith({
        async findBuried() {
          asked++
          return new Set()
        },
      })
      await processEnvelope(await takeJob(), TOKEN, context)
      expect(asked).toBe(0)
    })
  })

  it('asks a store that is away once for a suspect, not for each of its events', async () => {
    await enqueue(Array.from({ length: 50 }, () => makeEvent()))
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

describeRedis('a full Redis', () => {
  const releaser = useReleaser()

  it('costs no event an attempt or its reason', async () => {
    // A server of its own: the others of this run must not find memory full.
    const server = await startTestRedis(releaser)
    const backend = { kind: 'redis', url: server.url, prefix: 'full' } as const
    const redis = releaser.add(openRedis(backend.url, 'patient', ignore), (it) => it.disconnect())
    const options = { onError: ignore }
    const queue = openQueue<unknown>(STATUS_QUEUE, backend, redis, options)
    const dead: DeadLetterQueue = openQueue<DeadLetter>(DEAD_LETTER_QUEUE, backend, redis, options)
    const worker = openWorker<unknown>(STATUS_QUEUE, backend, async () => {}, { autorun: false })
    worker.on('error', ignore)
    for (const part of [queue, dead, worker]) releaser.onRelease(() => part.close())
    const unknownUser = { code: 'unknown_user', message: 'There is no such user' }
    const context: EnvelopeContext = {
      writer: {
        write: async (events) =>
          events.map(() => ({ outcome: 'dead', reason: 'unknown_user', error: unknownUser })),
        writeAlone: () => Promise.reject(new Error('There is no suspect')),
        drain: async () => {},
      },
      onOpened: ignore,
      bury: (failedEvents) => bury(dead, failedEvents),
      findBuried: (events, sourceJobId) => findBuried(dead, events, sourceJobId),
      onRows: ignore,
      bookRepeats: async () => {},
      onOutage: ignore,
      onSettleError: ignore,
      count: { stored: ignore, duplicate: ignore, dead: ignore, retried: ignore },
      quarantine: { occupied: false },
    }

    const event = makeEvent()
    await queue.add(ENVELOPE_JOB, { v: 1, events: [event] }, ENVELOPE_JOB_OPTIONS)
    const job = (await worker.getNextJob(TOKEN)) as Job
    await redis.config('SET', 'maxmemory', '1mb')
    await expect(processEnvelope(job, TOKEN, context)).rejects.toBeInstanceOf(DelayedError)
    await redis.config('SET', 'maxmemory', '0')
    await (await queue.getJob(job.id ?? ''))?.promote()
    await processEnvelope((await worker.getNextJob(TOKEN)) as Job, TOKEN, context)
    const letter = await dead.getJob(`dead-${event.id}`)
    expect(letter?.data).toMatchObject({ reason: 'unknown_user', attempts: 1 })

    // Nor is it asked for jobs all the time: it has enough to do.
    await redis.config('SET', 'maxmemory', '1mb')
    let refused = 0
    worker.on('error', () => refused++)
    const startedAt = performance.now()
    void worker.run()
    await waitFor('several refusals', () => refused >= 3)
    expect(performance.now() - startedAt).toBeGreaterThan(1_000)
    await redis.config('SET', 'maxmemory', '0')
  })
})
