import { makeEvent } from '@tidings/shared/testing/make-event'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { createPartitions, createPartitionsAhead, listPartitions, readPartitionHealth } from './partitions.ts'
import { storeStatusEvents } from './status-events.ts'

describe('partitions', () => {
  const releaser = useReleaser()
  let db: Database
  beforeAll(async () => {
    db = (await createTestDatabase(releaser)).database
  })

  const create = async (...months: Date[]) => {
    const client = await db.pool.connect()
    return createPartitions(client, months).finally(() => client.release())
  }
  const placeOf = async (id: string) =>
    (
      await db.pool.query('SELECT tableoid::regclass::text AS name FROM notification_status WHERE id = $1', [
        id,
      ])
    ).rows[0]?.name

  it('exist for this month and the next two after a migration', async () => {
    expect(await createPartitionsAhead(db, new Date())).toEqual([])
    expect(await readPartitionHealth(db, new Date())).toEqual({ missing: [], hasDefaultRows: false })
  })

  it('are created ahead by several processes at once, each once', async () => {
    const newYear = new Date('2031-12-15T00:00:00Z')
    expect(await readPartitionHealth(db, newYear)).toMatchObject({ missing: ['2031-12', '2032-01'] })
    const created = await Promise.all([1, 2, 3, 4].map(() => createPartitionsAhead(db, newYear)))
    expect(created.flat().toSorted()).toEqual([
      'notification_status_2031_12',
      'notification_status_2032_01',
      'notification_status_2032_02',
    ])
    expect(await readPartitionHealth(db, newYear)).toMatchObject({ missing: [] })
    const partition = (await listPartitions(db.pool)).find(({ name }) => name.endsWith('2032_01'))
    expect(partition).toMatchObject({ from: new Date('2032-01-01Z'), to: new Date('2032-02-01Z') })
  })

  it('are created by processes that meet in any place, each once', async () => {
    const months = Array.from({ length: 24 }, (_, index) => new Date(Date.UTC(2035, index)))
    const created = await Promise.all([1, 2, 3, 4, 5, 6].map(() => create(...months)))
    expect(created.flat()).toHaveLength(months.length)
    expect(new Set(created.flat()).size).toBe(months.length)
  })

  it('take over the rows of their month from the default partition', async () => {
    const inMonth = { ...makeEvent(), received_at: '2030-03-31T23:59:59.999Z' }
    const after = { ...makeEvent(), received_at: '2030-04-01T00:00:00.000Z' }
    await storeStatusEvents(db, [inMonth, after])
    expect(await readPartitionHealth(db, new Date())).toMatchObject({ hasDefaultRows: true })
    expect(await create(new Date('2030-03-10Z'))).toEqual(['notification_status_2030_03'])
    expect(await placeOf(inMonth.id)).toBe('notification_status_2030_03')
    expect(await placeOf(after.id)).toBe('notification_status_default')
    expect(await storeStatusEvents(db, [inMonth, after])).toEqual(['duplicate', 'duplicate'])
  })

  it('are not created while a transaction holds the default one, and do not block those who wait', async () => {
    const client = await db.pool.connect()
    await client.query('BEGIN; LOCK TABLE notification_status_default IN ROW EXCLUSIVE MODE')
    await expect(create(new Date('2029-01-01Z'))).rejects.toMatchObject({ code: '55P03' })
    await client.query('COMMIT')
    client.release()
    expect(await create(new Date('2029-01-01Z'))).toEqual(['notification_status_2029_01'])
  })

  it('have the indexes and the foreign key of the table, and no unique index', async () => {
    const { rows } = await db.pool.query(
      `SELECT i.indisunique AS "isUnique", count(*)::int FROM pg_index i JOIN pg_inherits p ON p.inhrelid = i.indrelid
       WHERE p.inhparent = 'notification_status'::regclass GROUP BY 1`,
    )
    const partitions = await listPartitions(db.pool)
    const ofTable = await db.pool.query(
      "SELECT indexrelid FROM pg_index WHERE indrelid = 'notification_status'::regclass",
    )
    expect(rows).toEqual([{ isUnique: false, count: partitions.length * ofTable.rows.length }])
    const keys = await db.pool.query(
      `SELECT count(*)::int FROM pg_constraint c JOIN pg_inherits p ON p.inhrelid = c.conrelid
       WHERE p.inhparent = 'notification_status'::regclass AND c.contype = 'f'`,
    )
    expect(keys.rows).toEqual([{ count: partitions.length }])
  })
})
