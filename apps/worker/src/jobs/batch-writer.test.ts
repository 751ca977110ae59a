import type { StatusEvent } from '@tidings/shared/status-event'
import { makeEvent } from '@tidings/shared/testing/make-event'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { databaseError } from '../testing/faulty-store.ts'
import { type BatchWriter, createBatchWriter, type Store } from './batch-writer.ts'

/** How PostgreSQL receives an event in this test: it stores it, or raises this SQLSTATE. The event's provider says which. */
const FATES = ['stored', '22001', '23503', '55P03', 'XX000'] as const

const makeEventFor = (fate: string): StatusEvent => makeEvent({ provider: fate })
const makeJob = (events: number): StatusEvent[] =>
  Array.from({ length: events }, () => makeEventFor('stored'))

const storeAll: Store = (events) => Promise.resolve(events.map(() => 'stored'))

/** A statement stores all of its events or none: any bad event makes it fail. */
function createFakeStore() {
  const stored = new Set<string>()
  const store: Store = (events) => {
    const bad = events.find((event) => event.provider !== 'stored')
    if (bad) return Promise.reject(databaseError(bad.provider ?? ''))
    for (const { id } of events) stored.add(id)
    return storeAll(events)
  }
  return { store, stored }
}

/** Counts the statements that a store runs. */
function countStatements(store: Store) {
  const counted = {
    statements: 0,
    store(events: readonly StatusEvent[]) {
      counted.statements++
      return store(events)
    },
  }
  return counted
}

/** Writes the events at once, in jobs of `jobSize`. Returns the results in the order of the events. */
async function writeAsJobs(writer: BatchWriter, events: readonly StatusEvent[], jobSize: number) {
  const jobs: StatusEvent[][] = []
  for (let from = 0; from < events.length; from += jobSize) jobs.push(events.slice(from, from + jobSize))
  return (await Promise.all(jobs.map((job) => writer.write(job)))).flat()
}

describe('the batch writer', () => {
  it('gives each event its own result, wherever bad events stand in a batch', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...FATES), { minLength: 1, maxLength: 64 }),
        fc.integer({ min: 1, max: 20 }),
        async (fates, jobSize) => {
          const { store, stored } = createFakeStore()
          const writer = createBatchWriter({ store, writers: 2, maxRows: 16 })
          const results = await writeAsJobs(writer, fates.map(makeEventFor), jobSize)
          const expected = fates.map((fate) => {
            if (fate === 'stored') return { outcome: 'stored' }
            if (fate === '22001') return { outcome: 'dead', reason: 'invalid_event', error: { code: fate } }
            if (fate === '23503') return { outcome: 'dead', reason: 'unknown_user', error: { code: fate } }
            return { outcome: 'retry', error: { code: fate } }
          })
          expect(results).toMatchObject(expected)
          expect(stored.size).toBe(fates.filter((fate) => fate === 'stored').length)
        },
      ),
      { numRuns: 100 },
    )
  })

  it('finds one bad event among 512 by halving, not by writing each event alone', async () => {
    const counted = countStatements(createFakeStore().store)
    const writer = createBatchWriter({ store: counted.store, writers: 1 })
    await writeAsJobs(writer, [...makeJob(300), makeEventFor('22001'), ...makeJob(211)], 8)
    // The whole batch, then two halves at each of nine levels.
    expect(counted.statements).toBe(1 + 2 * 9)
  })

  it.each(['57014', '40001', '40P01'])('does not halve after %s: no row is to blame', async (code) => {
    const counted = countStatements(() => Promise.reject(databaseError(code)))
    const writer = createBatchWriter({ store: counted.store, writers: 1 })
    const results = await writeAsJobs(writer, makeJob(2), 1)
    expect(results).toMatchObject([{ outcome: 'retry' }, { outcome: 'retry' }])
    expect(counted.statements).toBe(1)
  })

  it('reports an outage for every event of a batch, also when it begins while halving', async () => {
    const codes = ['55P03', '57P01']
    const counted = countStatements(() =>
      Promise.reject(databaseError(codes.shift() ?? 'no third statement')),
    )
    const writer = createBatchWriter({ store: counted.store, writers: 1 })
    const results = await writeAsJobs(writer, makeJob(8), 3)
    expect(new Set(results.map((result) => result.outcome))).toEqual(new Set(['outage']))
    expect(counted.statements).toBe(2)
  })

  it('writes as many batches at once as it has writers, and one more for an event alone', async () => {
    let running = 0
    let most = 0
    const writer = createBatchWriter({
      maxRows: 4,
      writers: 3,
      store: async (events) => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setImmediate(resolve))
        running--
        return storeAll(events)
      },
    })
    await Promise.all([
      ...Array.from({ length: 100 }, () => writer.write(makeJob(1))),
      writer.writeAlone(makeEventFor('stored')),
    ])
    expect(most).toBe(3 + 1)
  })

  it('writes at once when enough jobs are waiting, and runs no statement for a job without events', async () => {
    const batches: number[] = []
    const writer = createBatchWriter({
      writers: 1,
      flushEarly: (jobs) => jobs >= 3,
      store: (events) => {
        batches.push(events.length)
        return storeAll(events)
      },
    })
    const writes = [writer.write(makeJob(2)), writer.write(makeJob(2)), writer.write(makeJob(2))]
    // In this very turn: with fewer jobs a timer would have to run first.
    expect(batches).toEqual([6])
    await Promise.all(writes)
    expect(await writer.write([])).toEqual([])
    expect(batches).toEqual([6])
  })
})
