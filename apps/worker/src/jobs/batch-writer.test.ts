import { identifyEvent } from '@tidings/shared/event-identity'
import { type StatusEvent, statusReportSchema } from '@tidings/shared/status-event'
import fc from 'fast-check'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { type BatchWriter, createBatchWriter, type Store } from './batch-writer.ts'

/** What PostgreSQL does to an event in this test; the event carries it as its provider. */
const FATES = ['fine', '22001', '23503', '55P03', 'XX000'] as const

function makeEvent(fate: string): StatusEvent {
  const report = statusReportSchema.parse({ notification_id: 'n', status: 'sent', provider: fate })
  return identifyEvent(report, { type: 'email', source: 'test', receivedAt: new Date() })
}

function fail(code: string): Promise<never> {
  const error = new pg.DatabaseError('as the test says', 0, 'error')
  error.code = code
  return Promise.reject(error)
}

/** A statement is whole or not at all: any bad event fails it. */
function createStore() {
  const stored = new Set<string>()
  const store: Store = (events) => {
    const bad = events.find((event) => event.provider !== 'fine')
    if (bad) return fail(bad.provider ?? '')
    return Promise.resolve(
      events.map(({ id }) => {
        if (stored.has(id)) return 'duplicate'
        stored.add(id)
        return 'stored'
      }),
    )
  }
  return { store, stored }
}

/** Writes the events as jobs of that many each, all at once; the results in the order of the events. */
async function writeAsJobs(writer: BatchWriter, events: readonly StatusEvent[], jobSize: number) {
  const jobs: StatusEvent[][] = []
  for (let from = 0; from < events.length; from += jobSize) jobs.push(events.slice(from, from + jobSize))
  return (await Promise.all(jobs.map((job) => writer.write(job)))).flat()
}

describe('the batch writer', () => {
  it('lets no event fail its neighbours, whatever stands where in a batch', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...FATES), { minLength: 1, maxLength: 64 }),
        fc.integer({ min: 1, max: 20 }),
        async (fates, jobSize) => {
          const { store, stored } = createStore()
          const writer = createBatchWriter({ store, writers: 2, maxRows: 16 })
          const events = fates.map(makeEvent)
          const results = await writeAsJobs(writer, events, jobSize)
          const expected = fates.map((fate) => {
            if (fate === 'fine') return { outcome: 'stored' }
            if (fate === '22001') return { outcome: 'dead', reason: 'invalid_event', error: { code: fate } }
            if (fate === '23503') return { outcome: 'dead', reason: 'unknown_user', error: { code: fate } }
            return { outcome: 'retry', error: { code: fate } }
          })
          expect(results).toMatchObject(expected)
          expect(stored.size).toBe(fates.filter((fate) => fate === 'fine').length)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('asks about as often as halving needs, not once per event', async () => {
    let statements = 0
    const { store } = createStore()
    const writer = createBatchWriter({
      store: (events, lane) => {
        statements++
        return store(events, lane)
      },
      writers: 1,
    })
    const events = Array.from({ length: 512 }, (_, i) => makeEvent(i === 300 ? '22001' : 'fine'))
    await writeAsJobs(writer, events, 8)
    // The whole, then two halves at each of nine levels.
    expect(statements).toBe(1 + 2 * 9)
  })

  it.each(['57014', '40001', '40P01'])('does not halve for %s: that is no row’s fault', async (code) => {
    let statements = 0
    const writer = createBatchWriter({
      store: () => {
        statements++
        return fail(code)
      },
      writers: 1,
    })
    const results = await writeAsJobs(writer, [makeEvent('fine'), makeEvent('fine')], 1)
    expect(results).toMatchObject([{ outcome: 'retry' }, { outcome: 'retry' }])
    expect(statements).toBe(1)
  })

  it('calls every event of a batch an outage when the store is away, also in the middle of halving', async () => {
    let calls = 0
    const writer = createBatchWriter({ store: () => fail(calls++ === 0 ? '55P03' : '57P01'), writers: 1 })
    const events = Array.from({ length: 8 }, () => makeEvent('fine'))
    const results = await writeAsJobs(writer, events, 3)
    expect(new Set(results.map((result) => result.outcome))).toEqual(new Set(['outage']))
    expect(calls).toBe(2)
  })

  it('never writes more batches at once than it has lanes, each with its own lane', async () => {
    const busy = new Set<number>()
    // What is thrown in the store is a failure of the statement: it is noted here, and looked at after.
    const shared: number[] = []
    let most = 0
    const writer = createBatchWriter({
      maxRows: 4,
      writers: 3,
      store: async (events, lane) => {
        if (busy.has(lane)) shared.push(lane)
        busy.add(lane)
        most = Math.max(most, busy.size)
        await new Promise((resolve) => setImmediate(resolve))
        busy.delete(lane)
        return events.map(() => 'stored' as const)
      },
    })
    await Promise.all([
      ...Array.from({ length: 100 }, () => writer.write([makeEvent('fine')])),
      writer.writeAlone(makeEvent('fine')),
    ])
    expect(shared).toEqual([])
    // One more for the event that is written alone.
    expect(most).toBe(3 + 1)
  })

  it('writes at once what is enough, and nothing for a job without events', async () => {
    const statements: number[] = []
    const writer = createBatchWriter({
      writers: 1,
      flushEarly: (jobs) => jobs >= 3,
      store: (events) => {
        statements.push(events.length)
        return Promise.resolve(events.map(() => 'stored' as const))
      },
    })
    const job = [makeEvent('fine'), makeEvent('fine')]
    const three = Promise.all([writer.write(job), writer.write(job), writer.write(job)])
    // Before any timer: a job that is alone would wait for company.
    expect(statements).toEqual([6])
    await three
    expect(await writer.write([])).toEqual([])
    expect(statements).toEqual([6])
  })
})
