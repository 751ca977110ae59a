import { randomUUID } from 'node:crypto'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import { makeEvent, makeUnresolvedEvent } from '@tidings/shared/testing/make-event'
import type { Releaser } from '@tidings/stack/releaser'
import { addUsers } from '@tidings/stack/testing/system-database'
import { createDirectDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type Database, type DatabaseOptions, openDatabase, PLANS_FOR_MANY_ROWS } from '../database.ts'
import { eraseUser } from '../users/erase-user.ts'
import { scrubEventsTo } from '../users/scrub-events.ts'
import { listDecidingEvents, listUserEvents, readNotifications } from './notifications.ts'
import { createPartitions, startOfMonth } from './partitions.ts'
import { resolveEvents } from './resolve-events.ts'
import { storeStatusEvents } from './status-events.ts'
import { findStoredContent } from './stored-content.ts'

const planSchema = z.object({
  'Node Type': z.string(),
  'Relation Name': z.string().optional(),
  'Actual Loops': z.number(),
  get Plans() {
    return z.array(planSchema).optional()
  },
})
type Plan = z.infer<typeof planSchema>

const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]

/** What makes PostgreSQL send the plan of each statement, as it ran, to the client. */
const SHOW_PLANS = {
  session_preload_libraries: 'auto_explain',
  'auto_explain.log_min_duration': '0',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_timing': 'off',
  'auto_explain.log_format': 'json',
  client_min_messages: 'log',
  // As a prepared statement is planned after a few executions.
  plan_cache_mode: 'force_generic_plan',
}

type Reads = { partition: string; how: string }[]
/** The partitions that `use` read, and how. */
type ReadsOf = (use: () => Promise<unknown>) => Promise<Reads>
const scansOf = (reads: Reads) => reads.filter(({ how }) => how === 'Seq Scan')

/** Opens another pool whose plans are known. */
async function watchPlans(
  releaser: Releaser,
  pool: Database['pool'],
  url: string,
  settings?: DatabaseOptions['settings'],
): Promise<{ db: Database; readsOf: ReadsOf }> {
  let plans: Plan[] = []
  for (const [name, value] of Object.entries(SHOW_PLANS))
    await pool.query(
      `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET ${name} = ''${value}''', current_database()); END $$`,
    )
  const options = { url, applicationName: 'plans', maxConnections: 1, onError: () => {} }
  const db = releaser.add(openDatabase({ ...options, ...(settings && { settings }) }), (opened) =>
    opened.close(),
  )
  db.pool.on('connect', (connected) =>
    connected.on('notice', ({ message = '' }) => {
      const json = message.slice(message.indexOf('{'))
      if (message.includes('plan:')) plans.push(z.object({ Plan: planSchema }).parse(JSON.parse(json)).Plan)
    }),
  )
  return {
    db,
    async readsOf(use) {
      plans = []
      await use()
      return plans
        .flatMap(nodesOf)
        .filter(
          (node) => node['Actual Loops'] > 0 && node['Relation Name']?.startsWith('notification_status_'),
        )
        .map((node) => ({ partition: node['Relation Name'] ?? '', how: node['Node Type'] }))
    },
  }
}

const MONTHS = 12
const ROWS = 40_000

describe('the plans over the partitions of a year', () => {
  const releaser = useReleaser()
  const user = randomUUID()
  let db: Database
  let readsOf: ReadsOf

  beforeAll(async () => {
    const { url, database } = await createDirectDatabase(releaser)
    const { pool } = database
    const client = await pool.connect()
    const months = Array.from({ length: MONTHS }, (_, index) => startOfMonth(new Date(), -index))
    await createPartitions(client, months).finally(() => client.release())
    await addUsers(database, [user])
    await pool.query(
      `INSERT INTO notification_status (id, user_id, "timestamp", received_at, notification_type, status,
         notification_id, source)
       SELECT gen_random_uuid(), CASE WHEN n % 100 = 0 THEN $1::uuid END, at, at, 'email', 'sent', 'n-' || n / 3, 'test'
       FROM (SELECT n, now() - n * interval '330 days' / $2 AS at FROM generate_series(1, $2::int) n) AS event`,
      [user, ROWS],
    )
    ;({ db, readsOf } = await watchPlans(releaser, pool, url))
  })

  const countPartitions = (reads: { partition: string }[]) =>
    new Set(reads.map(({ partition }) => partition)).size

  it('storing looks into the partitions of the last 35 days only, by the index', async () => {
    const reads = await readsOf(() => storeStatusEvents(db, [makeEvent({ user_id: user })]))
    expect(scansOf(reads)).toEqual([])
    expect(countPartitions(reads)).toBeGreaterThan(0)
    expect(countPartitions(reads)).toBeLessThanOrEqual(3)
  })

  it('resolving looks into the partitions of the last 35 days only, by the index', async () => {
    const reads = await readsOf(() => resolveEvents(db, [makeUnresolvedEvent()], DEFAULT_RECIPIENT_KEY))
    expect(scansOf(reads)).toEqual([])
    expect(countPartitions(reads)).toBeGreaterThan(0)
    expect(countPartitions(reads)).toBeLessThanOrEqual(3)
  })

  it('a notification, its deciding events and a lost key are found by the index in every partition', async () => {
    for (const read of [
      () => readNotifications(db, 'n-5'),
      () => listDecidingEvents(db, 'n-5', 'email'),
      () => findStoredContent(db, [{ id: randomUUID(), notification_id: 'n-5', notification_type: 'email' }]),
    ])
      expect(scansOf(await readsOf(read))).toEqual([])
  })

  it('a page of a history stops after its rows', async () => {
    const reads = await readsOf(() => listUserEvents(db, user, {}, { limit: 20 }))
    expect(scansOf(reads)).toEqual([])
  })

  it('erasing a user reads the rows of the user only', async () => {
    expect(scansOf(await readsOf(() => eraseUser(db, user)))).toEqual([])
    expect(scansOf(await readsOf(() => scrubEventsTo(db, 'ab'.repeat(32))))).toEqual([])
  })
})

describe('the plans over a partition that was analyzed with few rows', () => {
  const releaser = useReleaser()
  const user = randomUUID()
  let db: Database
  let readsOf: ReadsOf

  beforeAll(async () => {
    const { url, database } = await createDirectDatabase(releaser)
    const { pool } = database
    await addUsers(database, [user])
    await storeStatusEvents(
      database,
      Array.from({ length: 60 }, (_, n) => makeEvent({ notification_id: `n-${n}` })),
    )
    await pool.query('ANALYZE')
    ;({ db, readsOf } = await watchPlans(releaser, pool, url, PLANS_FOR_MANY_ROWS))
  })

  it('still use the index: they are kept while the partition grows', async () => {
    const store = () => storeStatusEvents(db, [makeEvent({ user_id: user })])
    const resolve = () => resolveEvents(db, [makeUnresolvedEvent()], DEFAULT_RECIPIENT_KEY)
    for (const use of [store, resolve]) {
      const reads = await readsOf(use)
      expect(reads.length).toBeGreaterThan(0)
      expect(scansOf(reads)).toEqual([])
    }
  })
})
