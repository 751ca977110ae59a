import { listPartitions } from '@tidings/db/events/partitions'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { createLogger } from '@tidings/runtime/log'
import { makeEvent } from '@tidings/shared/testing/make-event'
import { createTestDatabase, type TestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { Upkeep } from './upkeep.ts'

const DAY_MS = 86_400_000

describe('upkeep', () => {
  const releaser = useReleaser()
  let test: TestDatabase
  beforeAll(async () => {
    test = await createTestDatabase(releaser)
  })

  const runOnce = async (deduplicationDays = 35) => {
    const upkeep = new Upkeep({ db: test.database, deduplicationDays, log: createLogger('test', 'silent') })
    await upkeep.idle
    await upkeep.close()
  }
  const listNames = async () => (await listPartitions(test.database.pool)).map(({ name }) => name)

  it('of two workers at once creates the partitions that are missing', async () => {
    const names = await listNames()
    const next = names.find((name) => /\d$/.test(name))
    await test.database.pool.query(`DROP TABLE ${next}`)
    await Promise.all([runOnce(), runOnce()])
    expect(await listNames()).toEqual(names)
  })

  it('removes keys older than the window, and leaves their rows and younger keys', async () => {
    const agedDays = (days: number) => ({
      ...makeEvent(),
      received_at: new Date(Date.now() - days * DAY_MS).toISOString(),
    })
    const events = [agedDays(0), agedDays(34.9), agedDays(35.1), agedDays(100)]
    await storeStatusEvents(test.database, events)
    const readKeys = async () =>
      (await test.database.pool.query('SELECT id FROM event_keys ORDER BY received_at DESC')).rows.map(
        ({ id }) => id,
      )
    await runOnce(90)
    expect(await readKeys()).toEqual(events.slice(0, 3).map(({ id }) => id))
    await runOnce()
    expect(await readKeys()).toEqual(events.slice(0, 2).map(({ id }) => id))
    const { rows } = await test.database.pool.query('SELECT count(*)::int FROM notification_status')
    expect(rows).toEqual([{ count: 4 }])
  })
})
