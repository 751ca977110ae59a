import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { addIngestCounts, IngestCounters, readIngestCounts } from './ingest-counters.ts'

describe('the ingest counters', () => {
  const releaser = useReleaser()
  let db: Database
  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
  })

  it('add up the counts of several processes', async () => {
    const onError = (error: unknown) => {
      throw error
    }
    const processes = Array.from({ length: 3 }, () => new IngestCounters(db, onError))
    for (const counters of processes) {
      counters.add({ accepted: 5, duplicate: 2 })
      counters.add({ duplicate: 1 })
    }
    await Promise.all(processes.map((counters) => counters.close()))
    expect(await readIngestCounts(db)).toEqual({ accepted: 15, duplicate: 9 })
  })

  it('keep the counts of a flush that failed for the next one', async () => {
    const before = await readIngestCounts(db)
    const errors: unknown[] = []
    const counters = new IngestCounters(db, (error) => errors.push(error))
    counters.add({ duplicate: 4 })
    await db.pool.query('ALTER TABLE ingest_counters RENAME TO renamed')
    await counters.flush()
    await db.pool.query('ALTER TABLE renamed RENAME TO ingest_counters')
    counters.add({ duplicate: 1 })
    await counters.close()
    expect(errors).not.toEqual([])
    expect((await readIngestCounts(db)).duplicate - before.duplicate).toBe(5)
  })

  it('are written by a flush that begins while another one runs', async () => {
    const before = await readIngestCounts(db)
    const counters = releaser.add(new IngestCounters(db, () => {}), (opened) => opened.close())
    counters.add({ duplicate: 1 })
    const earlier = counters.flush()
    counters.add({ duplicate: 1 })
    await counters.flush()
    expect((await readIngestCounts(db)).duplicate - before.duplicate).toBe(2)
    await earlier
  })

  it('are not written by two processes in an order that deadlocks', async () => {
    const before = await readIngestCounts(db)
    const add = (n: number) =>
      addIngestCounts(db, n % 2 === 0 ? { accepted: 1, duplicate: 1 } : { duplicate: 1, accepted: 1 })
    await Promise.all(Array.from({ length: 40 }, (_, n) => add(n)))
    expect((await readIngestCounts(db)).duplicate - before.duplicate).toBe(40)
  })
})
