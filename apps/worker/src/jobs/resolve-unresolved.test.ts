import { prepareQueueBackend } from '@tidings/queue/backend'
import type { FailedEvent } from '@tidings/queue/dead-letters/bury'
import { bury } from '@tidings/queue/testing/dead-letter-fixtures'
import type { StatusEvent, UnresolvedEvent } from '@tidings/shared/status-event'
import { makeEvent, makeUnresolvedEvent } from '@tidings/shared/testing/make-event'
import { createTestBackend, describeBackends, useReleaser } from '@tidings/stack/testing/test-context'
import { DelayedError, type Job } from 'bullmq'
import { beforeAll, beforeEach, expect, it } from 'vitest'
import { databaseError } from '../testing/faulty-store.ts'
import { createContext, openJobByJob, RETRY, TOKEN, WRITE_ERROR, writerOf } from '../testing/job-by-job.ts'
import type { BatchWriter } from './batch-writer.ts'
import { type EnvelopeContext, processEnvelope, RetryEventsError } from './process-envelope.ts'
import { createResolver, type Resolve, UNRESOLVED_WAIT_MS } from './resolve-unresolved.ts'

describeBackends('a job with events that name their message only', (kind) => {
  const releaser = useReleaser()
  let jobs: ReturnType<typeof openJobByJob>
  beforeAll(async () => {
    const backend = await createTestBackend(kind, releaser)
    await prepareQueueBackend(backend)
    jobs = openJobByJob(backend, releaser)
  })

  /** The events that were written, and the notifications that are known, by message. */
  let written: StatusEvent[]
  let known: Map<string, string>
  beforeEach(async () => {
    written = []
    known = new Map()
    await jobs.clear()
  })
  const resolve: Resolve = async (events) =>
    events.map(({ feedback: _, ...event }) => {
      const notification_id = known.get(event.provider_message_id)
      return notification_id === undefined ? undefined : { ...event, notification_id }
    })
  const writer: BatchWriter = {
    ...writerOf({ outcome: 'stored' }),
    async write(events) {
      written.push(...events)
      return events.map(() => ({ outcome: 'stored' }))
    },
  }
  const contextWith = (more: Partial<EnvelopeContext> = {}) =>
    createContext({ bury: (failed) => bury(jobs.deadLetters, failed), resolve, writer, ...more })

  async function takeJobWith(...events: unknown[]) {
    await jobs.enqueue(events)
    return jobs.takeJob()
  }
  /** Runs the job, which must be delayed without a counted attempt. Returns it, taken again. */
  async function runAndTakeAgain(job: Job, context = contextWith()): Promise<{ job: Job; delayMs: number }> {
    await expect(processEnvelope(job, TOKEN, context)).rejects.toBeInstanceOf(DelayedError)
    const [delayed, ...others] = await jobs.queue.getDelayed()
    expect(others).toEqual([])
    expect(delayed).toMatchObject({ id: job.id, attemptsMade: 0 })
    const delayMs = delayed?.delay ?? 0
    await delayed?.promote()
    return { job: await jobs.takeJob(), delayMs }
  }
  const waitLonger = (job: Job, ms: number) => {
    const data = job.data as { unresolved_since: string }
    data.unresolved_since = new Date(Date.parse(data.unresolved_since) - ms).toISOString()
  }
  const idsOf = (events: readonly { id: string }[]) => events.map(({ id }) => id)
  const readDeadLetters = async () =>
    (await jobs.deadLetters.getJobs(['prioritized'])).map(({ data }) => data)

  it('writes them with the others as soon as their notification is known', async () => {
    const [event, unresolved] = [makeEvent(), makeUnresolvedEvent()]
    known.set(unresolved.provider_message_id, 'n-1')
    await processEnvelope(await takeJobWith(unresolved, event), TOKEN, contextWith())
    expect(written).toMatchObject([{ id: event.id }, { id: unresolved.id, notification_id: 'n-1' }])
  })

  it('keeps only the unknown ones, and looks again, less often each time', async () => {
    const [event, found, unknown] = [makeEvent(), makeUnresolvedEvent(), makeUnresolvedEvent()]
    known.set(found.provider_message_id, 'n-1')
    let { job, delayMs } = await runAndTakeAgain(await takeJobWith(event, 'no event', found, unknown))
    expect(Math.round(delayMs / 100)).toBe(50)
    expect(idsOf(written)).toEqual([event.id, found.id])
    expect(job.data).toMatchObject({ events: [{ ...unknown }] })
    const since = job.data.unresolved_since
    for (const [waitedMs, expectedMs] of [
      [0, 5_000],
      [12_000, 12_000],
      [60_000, 30_000],
    ] as const) {
      waitLonger(job, waitedMs)
      ;({ job, delayMs } = await runAndTakeAgain(job))
      expect(delayMs).toBeGreaterThan(expectedMs - 100)
      expect(delayMs).toBeLessThan(expectedMs + 2_000)
      // Looks in vain write nothing.
      expect(job.data.unresolved_since).toBe(since)
    }
    known.set(unknown.provider_message_id, 'n-2')
    await processEnvelope(job, TOKEN, contextWith())
    expect(written.at(-1)).toMatchObject({ id: unknown.id, notification_id: 'n-2' })
    expect(await readDeadLetters()).toMatchObject([{ reason: 'invalid_event' }])
  })

  it('buries them after five minutes, as they came; a redrive waits five minutes more', async () => {
    const unresolved = makeUnresolvedEvent()
    const { job } = await runAndTakeAgain(await takeJobWith(unresolved))
    waitLonger(job, UNRESOLVED_WAIT_MS)
    const reasons: string[] = []
    const count = { ...contextWith().count, dead: (reason: string) => void reasons.push(reason) }
    await processEnvelope(job, TOKEN, contextWith({ count }))
    expect(await readDeadLetters()).toMatchObject([
      {
        reason: 'unknown_notification',
        event: unresolved,
        attempts: 1,
        error: { code: 'unknown_notification' },
      },
    ])
    expect(reasons).toEqual(['unknown_notification'])
    await jobs.clear()
    const again = await runAndTakeAgain(await takeJobWith({ ...unresolved, redrives: 1 }))
    expect(await readDeadLetters()).toEqual([])
    waitLonger(again.job, UNRESOLVED_WAIT_MS)
    await processEnvelope(again.job, TOKEN, contextWith())
    expect(await readDeadLetters()).toMatchObject([{ redrives: 1 }])
  })

  it('gives up on a job whose producer wrote that it waits until the year 9999', async () => {
    const data = { v: 1, events: [makeUnresolvedEvent()], unresolved_since: '9999-01-01T00:00:00.000Z' }
    await jobs.queue.add('any name', data)
    await processEnvelope(await jobs.takeJob(), TOKEN, contextWith())
    expect(await readDeadLetters()).toHaveLength(1)
  })

  it('waits without an attempt while PostgreSQL is away, and writes nothing meanwhile', async () => {
    const outages: string[] = []
    const job = await takeJobWith(makeEvent(), makeUnresolvedEvent())
    for (const code of ['57P01', '42501']) {
      const context = contextWith({
        resolve: () => Promise.reject(databaseError(code)),
        onOutage: (error) => void outages.push(error.code),
        outageDelayMs: 1,
      })
      await runAndTakeAgain(job, context)
    }
    expect(outages).toEqual(['57P01', '42501'])
    expect(written).toEqual([])
  })

  it('counts an attempt when the look fails, and stores the others of the job', async () => {
    const [event, unresolved] = [makeEvent(), makeUnresolvedEvent()]
    const job = await takeJobWith(event, unresolved)
    const context = contextWith({ resolve: () => Promise.reject(databaseError('57014')) })
    await expect(processEnvelope(job, TOKEN, context)).rejects.toBeInstanceOf(RetryEventsError)
    expect(idsOf(written)).toEqual([event.id])
    const left = await jobs.queue.getJob(job.id ?? '')
    expect(left?.data).toMatchObject({
      events: [{ id: unresolved.id }],
      failures: { [unresolved.id]: [{ code: '57014' }] },
    })
  })

  it('lets no failing neighbour use up their time: its attempts are counted by event', async () => {
    const [failing, unresolved] = [makeEvent(), makeUnresolvedEvent()]
    const context = contextWith({ writer: writerOf(RETRY) })
    let job = await takeJobWith(failing, unresolved)
    for (let run = 1; run < 4; run++) {
      ;({ job } = await runAndTakeAgain(job, context))
      expect(idsOf(job.data.events)).toEqual([failing.id, unresolved.id])
      expect(job.data.failures[failing.id]).toHaveLength(run)
    }
    ;({ job } = await runAndTakeAgain(job, context))
    expect(idsOf(job.data.events)).toEqual([unresolved.id])
    expect(await readDeadLetters()).toMatchObject([
      { event: { id: failing.id }, reason: 'retries_exhausted', attempts: 4, error: WRITE_ERROR },
    ])
  })

  it('loses and doubles nothing when the worker is killed between any two steps', async () => {
    // A step that never ends, as for a worker that was killed in it. The next one takes the job as the store has it.
    for (const killedIn of ['resolve', 'write', 'bury', 'buried', 'updateData', 'updated', 'moveToDelayed']) {
      await jobs.clear()
      written = []
      const [event, found, unknown] = [makeEvent(), makeUnresolvedEvent(), makeUnresolvedEvent()]
      known.set(found.provider_message_id, 'n-1')
      const job = await takeJobWith(event, found, 'no event', unknown)
      let reached = () => {}
      const isKilled = new Promise<void>((done) => {
        reached = done
      })
      const step = async <Result>(name: string, work: () => Promise<Result>): Promise<Result> => {
        if (name !== killedIn) return work()
        reached()
        return new Promise<never>(() => {})
      }
      const [updateData, moveToDelayed] = [job.updateData.bind(job), job.moveToDelayed.bind(job)]
      job.updateData = (data) =>
        step('updateData', () => updateData(data)).then(() => step('updated', async () => {}))
      job.moveToDelayed = (...args) => step('moveToDelayed', () => moveToDelayed(...args))
      const buryAll = (failed: readonly FailedEvent[]) => bury(jobs.deadLetters, failed)
      const context = contextWith({
        resolve: (events) => step('resolve', () => resolve(events)),
        writer: { ...writer, write: (events) => step('write', () => writer.write(events)) },
        bury: (failed) => step('bury', () => buryAll(failed)).then(() => step('buried', async () => {})),
      })
      void processEnvelope(job, TOKEN, context)
      await isKilled

      const again = (await jobs.queue.getJob(job.id ?? '')) as Job
      expect(idsOf((again.data as { events: UnresolvedEvent[] }).events)).toContain(unknown.id)
      const next = await runAndTakeAgain(again)
      waitLonger(next.job, UNRESOLVED_WAIT_MS)
      await processEnvelope(next.job, TOKEN, contextWith())
      expect(new Set(idsOf(written)), killedIn).toEqual(new Set([event.id, found.id]))
      const reasons = (await readDeadLetters()).map(({ reason }) => reason)
      expect(reasons.toSorted(), killedIn).toEqual(['invalid_event', 'unknown_notification'])
    }
  })

  it('looks for the events of several jobs at once', async () => {
    const asked: number[] = []
    const resolver = createResolver((events) => {
      asked.push(events.length)
      return resolve(events)
    })
    const events = Array.from({ length: 30 }, () => makeUnresolvedEvent())
    for (const [index, event] of events.entries()) known.set(event.provider_message_id, `n-${index}`)
    const parts = [events.slice(0, 1), events.slice(1, 20), events.slice(20)]
    const found = await Promise.all(parts.map((part) => resolver(part)))
    expect(asked).toEqual([30])
    expect(found.map((part) => part.map((event) => event?.notification_id))).toEqual(
      parts.map((part) => part.map(({ provider_message_id }) => known.get(provider_message_id))),
    )
  })
})
