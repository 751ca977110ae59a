import { prepareQueueBackend } from '@tidings/queue/backend'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { bury } from '@tidings/queue/testing/dead-letter-fixtures'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { createTestBackend, describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { DelayedError, type Job } from 'bullmq'
import { beforeAll, beforeEach, expect, it } from 'vitest'
import { databaseError } from '../testing/faulty-store.ts'
import {
  createContext,
  OUTAGE,
  openJobByJob,
  RETRY,
  TOKEN,
  UNKNOWN_USER,
  WRITE_ERROR,
  writerOf,
} from '../testing/job-by-job.ts'
import type { BatchWriter } from './batch-writer.ts'
import { type EnvelopeContext, processEnvelope, RetryEventsError } from './process-envelope.ts'
import { JobLockLostError } from './return-job.ts'

describeBackends('processing one job', (kind) => {
  const releaser = useReleaser()
  let jobs: ReturnType<typeof openJobByJob>

  beforeAll(async () => {
    const backend = await createTestBackend(kind, releaser)
    await prepareQueueBackend(backend)
    jobs = openJobByJob(backend, releaser)
  })
  beforeEach(() => jobs.clear())

  const contextWith = (more: Partial<EnvelopeContext> = {}) =>
    createContext({ bury: (failedEvents) => bury(jobs.deadLetters, failedEvents), ...more })
  const takeJobWith = async (events: unknown[]) => {
    await jobs.enqueue(events)
    return jobs.takeJob()
  }
  /** Runs the job, which must be delayed without a counted attempt. Returns the delayed job. */
  async function expectDelayed(job: Job, context: EnvelopeContext): Promise<Job> {
    await expect(processEnvelope(job, TOKEN, context)).rejects.toBeInstanceOf(DelayedError)
    const [delayed, ...others] = await jobs.queue.getDelayed()
    expect(delayed).toMatchObject({ id: job.id, attemptsMade: 0 })
    expect(others).toEqual([])
    return delayed as Job
  }
  const countDeadLetters = () => jobs.deadLetters.getJobCountByTypes('prioritized', 'waiting')

  it('delays the job without counting an attempt when PostgreSQL is unreachable while it buries', async () => {
    const outages: string[] = []
    const context = contextWith({
      bury: () => Promise.reject(databaseError('57P01')),
      onOutage: ({ code }) => outages.push(code),
    })
    await expectDelayed(await takeJobWith([makeEvent(), 'no event']), context)
    expect(outages).toEqual(['57P01'])
  })

  it('delays the job without counting an attempt, longer each time, when dead letters cannot be written', async () => {
    const full = new Error('OOM command not allowed')
    const errors: unknown[] = []
    const context = contextWith({
      bury: () => Promise.reject(full),
      onSettleError: (settleError) => void errors.push(settleError),
      outageDelayMs: 10_000,
    })
    const job = await takeJobWith([makeEvent(), 'no event'])
    job.attemptsStarted = 2
    const delayed = await expectDelayed(job, context)
    expect(delayed.delay).toBeGreaterThan(15_000)
    const message = `outcome of job ${job.id} not recorded, will be tried again: OOM command not allowed`
    expect(errors).toEqual([new Error(message, { cause: full })])
  })

  it('delays the job without counting an attempt when the events to be tried again cannot be written', async () => {
    const job = await takeJobWith([makeEvent()])
    job.updateData = () => Promise.reject(new Error('OOM command not allowed'))
    await expectDelayed(job, contextWith({ writer: writerOf(RETRY) }))
  })

  it('delays the job even when the queue is in the same unreachable PostgreSQL', async () => {
    const job = await takeJobWith([makeEvent()])
    const moveToDelayed = job.moveToDelayed.bind(job)
    const errors = [Object.assign(new Error('away'), { code: 'ECONNREFUSED' }), databaseError('57P03')]
    job.moveToDelayed = async (...args) => {
      const next = errors.shift()
      if (next) throw next
      await moveToDelayed(...args)
    }
    await expectDelayed(job, contextWith({ writer: writerOf(OUTAGE), outageDelayMs: 10 }))
    expect(errors).toEqual([])
  })

  it('buries nothing when another worker has taken the job over', async () => {
    const job = await takeJobWith(['no event'])
    // A worker that was frozen for longer than its lock lasts holds a token that is no longer valid.
    await expect(processEnvelope(job, 'expired-token', contextWith())).rejects.toBeInstanceOf(
      JobLockLostError,
    )
    expect(await countDeadLetters()).toBe(0)
    await processEnvelope(job, TOKEN, contextWith())
    expect(await countDeadLetters()).toBe(1)
  })

  it('buries an event once when its job runs again after a crash', async () => {
    const job = await takeJobWith([makeEvent(), 'no event'])
    const context = contextWith({ writer: writerOf(UNKNOWN_USER) })
    await processEnvelope(job, TOKEN, context)
    await processEnvelope(job, TOKEN, context)
    expect(await countDeadLetters()).toBe(2)
  })

  it('leaves only the events to be tried again in the job, with their errors', async () => {
    const [stored, failing] = [makeEvent(), makeEvent()]
    const job = await takeJobWith([stored, 'no event', failing])
    const writer = { ...writerOf(RETRY), write: async () => [{ outcome: 'stored' as const }, RETRY] }
    await expect(processEnvelope(job, TOKEN, contextWith({ writer }))).rejects.toBeInstanceOf(
      RetryEventsError,
    )
    const left = await jobs.queue.getJob(job.id ?? '')
    expect(left?.data).toMatchObject({
      events: [{ id: failing.id }],
      failures: { [failing.id]: [WRITE_ERROR] },
    })
    expect(await countDeadLetters()).toBe(1)
  })

  it('writes the events of a suspect one by one, alternately from the front and from the back', async () => {
    const events = [makeEvent(), makeEvent(), makeEvent()]
    const job = await takeJobWith(events)
    const ids = events.map(({ id }) => id)
    for (const [stalls, expected] of [
      [2, ids],
      [3, ids.toReversed()],
    ] as const) {
      job.stalledCounter = stalls
      const written: string[] = []
      const writer: BatchWriter = {
        ...writerOf(OUTAGE),
        async writeAlone({ id }) {
          written.push(id)
          return { outcome: 'stored' }
        },
      }
      await processEnvelope(job, TOKEN, contextWith({ writer }))
      expect(written).toEqual(expected)
    }
  })

  it('lets a job of a newer version wait without counting an attempt, and buries it whole after an hour', async () => {
    const data = { v: 2, items: [{ id: 'a' }] }
    await jobs.queue.add(ENVELOPE_JOB, data, ENVELOPE_JOB_OPTIONS)
    const job = await jobs.takeJob()
    const versions: number[] = []
    const context = contextWith({ onNewerVersion: (version) => void versions.push(version) })
    const delayed = await expectDelayed(job, context)
    expect(versions).toEqual([2])
    expect(delayed.data).toEqual(data)
    expect(await countDeadLetters()).toBe(0)
    await delayed.promote()
    const again = await jobs.takeJob()
    again.timestamp -= context.newerVersionWaitMs
    await processEnvelope(again, TOKEN, context)
    const [letter] = await jobs.deadLetters.getJobs(['prioritized'])
    expect(letter?.data).toMatchObject({ reason: 'newer_version', event: data })
  })

  it('delays a suspect while another one is running', async () => {
    const job = await takeJobWith([makeEvent()])
    job.stalledCounter = 2
    const suspectLock = { isHeld: true }
    await expectDelayed(job, contextWith({ suspectLock }))
    expect(suspectLock.isHeld).toBe(true)
  })

  it('writes one event of a suspect during an outage, not each of them', async () => {
    const job = await takeJobWith(Array.from({ length: 50 }, () => makeEvent()))
    job.stalledCounter = 2
    let statements = 0
    const writer: BatchWriter = {
      ...writerOf(OUTAGE),
      async writeAlone() {
        statements++
        return OUTAGE
      },
    }
    const context = contextWith({ writer })
    await expectDelayed(job, context)
    expect(statements).toBe(1)
    expect(context.suspectLock.isHeld).toBe(false)
  })
})
