import { hash, randomUUID } from 'node:crypto'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import { NOTIFICATION_TYPES } from '@tidings/shared/status-event'
import { makeUnresolvedEvent } from '@tidings/shared/testing/make-event'
import { createTestDatabase, useReleaser } from '@tidings/stack/testing/test-context'
import { beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Database } from '../database.ts'
import { eventKeys } from '../schema/event-keys.ts'
import { fillWithEvents, SOME_ROW } from '../testing/many-events.ts'
import { LOOK_UP, lookUpNotifications } from './look-up-notifications.ts'
import { RESOLVE, resolveEvents, valuesOf as resolveValues } from './resolve-events.ts'
import {
  type EventPage,
  type EventSearch,
  eventStatement,
  findEvent,
  prefixedStatement,
  searchEvents,
  searchStatement,
} from './search-events.ts'

const ROWS = 1_000_000
/** The promise is a second. The rest is for a busy machine. */
const LIMIT_MS = 10_000

interface PlanNode {
  'Node Type': string
  'Relation Name'?: string | undefined
  'Index Name'?: string | undefined
  Plans?: PlanNode[] | undefined
}
const planNode: z.ZodType<PlanNode> = z.lazy(() =>
  z.object({
    'Node Type': z.string(),
    'Relation Name': z.string().optional(),
    'Index Name': z.string().optional(),
    Plans: z.array(planNode).optional(),
  }),
)
const answerSchema = z.tuple([z.object({ 'QUERY PLAN': z.tuple([z.object({ Plan: planNode })]) })])

const nodesOf = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)]

/** How each node of a plan that reads the table, or one of its indexes, does it. */
const readsOf = (plan: PlanNode) =>
  nodesOf(plan).filter((node) => node['Node Type'].endsWith('Scan') && node['Node Type'] !== 'CTE Scan')
const PAGE: EventPage = { limit: 21 }
const NEXT_PAGE: EventPage = {
  limit: 21,
  after: { timestamp: new Date('2026-01-20T00:00:00Z'), id: '00000000-0000-4000-8000-000000000000' },
}
const md5Uuid = (text: string) =>
  hash('md5', text).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

/** Conditions that have an index of their own, and a search by time. */
const SELECTIVE = {
  userId: { userId: md5Uuid(SOME_ROW.userText) },
  recipients: { recipients: [hash('sha256', SOME_ROW.recipientText), hash('sha256', 'x')] },
  notificationId: { notificationId: SOME_ROW.notificationId },
  notificationIdPrefix: { notificationIdPrefix: SOME_ROW.notificationId },
  providerMessageId: { providerMessageId: SOME_ROW.providerMessageId },
  errorCode: { errorCode: 'unregistered' },
  time: { from: new Date('2026-01-03T00:00:00Z'), to: new Date('2026-01-28T00:00:00Z') },
} satisfies Record<string, EventSearch>
const OTHERS = {
  provider: { provider: 'ses' },
  source: { source: 'imports' },
  status: { status: 'bounced' },
  type: { type: 'push' },
} satisfies Record<string, EventSearch>

/** All subsets, as one condition each. */
function combine(conditions: readonly EventSearch[]): EventSearch[] {
  const [first, ...rest] = conditions
  if (first === undefined) return [{}]
  const without = combine(rest)
  return [...without, ...without.map((other) => ({ ...first, ...other }))]
}

describe('the plans of searches in 10^6 events', () => {
  const releaser = useReleaser()
  let db: Database
  /** The index of the table that each index of a partition belongs to. */
  let parents: ReadonlyMap<string, string>
  beforeAll(async () => {
    const { url, database } = await createTestDatabase(releaser)
    await fillWithEvents(url, ROWS)
    db = database
    const { rows } = await db.pool.query<{ name: string; parent: string }>(
      'SELECT inhrelid::regclass::text AS name, inhparent::regclass::text AS parent FROM pg_inherits',
    )
    parents = new Map(rows.map(({ name, parent }) => [name, parent]))
  })

  const indexOf = (node: PlanNode) => parents.get(node['Index Name'] ?? '')
  const indexesOf = (plan: PlanNode) => new Set(readsOf(plan).flatMap((node) => indexOf(node) ?? []))

  async function explain(text: string, values: unknown[]): Promise<PlanNode> {
    const { rows } = await db.pool.query(`EXPLAIN (FORMAT JSON) ${text}`, values)
    return answerSchema.parse(rows)[0]['QUERY PLAN'][0].Plan
  }
  function explainQuery(query: { toSQL(): { sql: string; params: unknown[] } }) {
    const { sql, params } = query.toSQL()
    return explain(sql, params)
  }
  const explainSearch = (search: EventSearch, page: EventPage, isRare = 'notificationIdPrefix' in search) =>
    explainQuery(searchStatement(db, search, page, isRare))

  it.each<[keyof typeof SELECTIVE, string]>([
    ['userId', 'notification_status_user_id_timestamp_idx'],
    ['recipients', 'notification_status_recipient_idx'],
    ['notificationId', 'notification_status_notification_id_idx'],
    ['notificationIdPrefix', 'notification_status_notification_id_idx'],
    ['providerMessageId', 'notification_status_provider_message_id_idx'],
    ['errorCode', 'notification_status_error_code_idx'],
    ['time', 'notification_status_timestamp_idx'],
  ])('searches by %s with %s, on every page, and finds events', async (name, index) => {
    for (const page of [PAGE, NEXT_PAGE])
      expect(indexesOf(await explainSearch(SELECTIVE[name], page))).toEqual(new Set([index]))
    await db.orm.transaction(async (tx) => {
      await tx.execute(`SET LOCAL statement_timeout = ${LIMIT_MS}`)
      const found = await searchEvents(
        { ...db, orm: tx as unknown as Database['orm'] },
        SELECTIVE[name],
        PAGE,
      )
      expect(found.length).toBeGreaterThan(0)
      const times = found.map(({ timestamp }) => timestamp)
      expect(times).toEqual(times.toSorted().reverse())
    })
  })

  it('reads the events in the order of the time index for a prefix that most of them have', async () => {
    const search = { notificationIdPrefix: 'ord' }
    const plan = await explainSearch(search, PAGE, false)
    expect(indexesOf(plan)).toEqual(new Set(['notification_status_timestamp_idx']))
    const startedMs = performance.now()
    expect(await searchEvents(db, search, PAGE)).toHaveLength(PAGE.limit)
    expect(performance.now() - startedMs).toBeLessThan(LIMIT_MS)
  })

  it.each(['ord', SOME_ROW.notificationId])(
    'counts the events with the prefix %s by its index',
    async (prefix) => {
      const reads = readsOf(await explainQuery(prefixedStatement(db, prefix)))
      for (const node of reads)
        expect([node['Node Type'], indexOf(node)]).toEqual([
          'Index Only Scan',
          'notification_status_notification_id_idx',
        ])
    },
  )

  it('uses an index for every combination of conditions', async () => {
    const others = Object.values(OTHERS)
    const rest: EventSearch[] = [{}, ...others, Object.assign({}, ...others)]
    const searches = combine(Object.values(SELECTIVE))
      .filter((search) => Object.keys(search).length > 0)
      .flatMap((search) => rest.map((other) => ({ ...search, ...other })))
    expect(searches.length).toBeGreaterThan(700)
    for (const [index, search] of searches.entries()) {
      const plan = await explainSearch(search, index % 2 ? PAGE : NEXT_PAGE)
      for (const read of readsOf(plan))
        expect(read['Node Type'], JSON.stringify({ search, plan })).toMatch(/Index|^Bitmap Heap Scan$/)
    }
  })

  it('finds an event by its id in the partition of its key, by the time of receipt', async () => {
    const id = '00000000-0000-7000-8000-0000000f0000'
    const receivedAt = new Date('2026-01-29T10:40:01Z')
    await db.orm.insert(eventKeys).values({ id, receivedAt })
    const reads = readsOf(await explainQuery(eventStatement(db, { id, receivedAt })))
    expect(reads.flatMap((node) => node['Relation Name'] ?? [])).toEqual(['notification_status_2026_01'])
    expect(reads.flatMap((node) => indexOf(node) ?? [])).toEqual(['notification_status_received_at_idx'])
    expect(await findEvent(db, id)).toMatchObject({ id })
    expect(await findEvent(db, randomUUID())).toBeUndefined()
  })

  it('looks up 500 notifications with one range of an index each', async () => {
    const keys = Array.from({ length: 500 }, (_, n) => ({
      notification_id: `order-${n * 600}`,
      notification_type: NOTIFICATION_TYPES[n % 2] ?? 'email',
    }))
    const plan = await explain(LOOK_UP, [
      keys.map((key) => key.notification_id),
      keys.map((key) => key.notification_type),
    ])
    const reads = readsOf(plan).filter((node) => node['Relation Name']?.startsWith('notification_status'))
    expect(reads.length).toBeGreaterThan(0)
    for (const node of reads)
      expect([node['Node Type'], indexOf(node)]).toEqual([
        'Index Scan',
        'notification_status_notification_id_idx',
      ])
    const startedMs = performance.now()
    const found = await lookUpNotifications(db, keys)
    expect(found.filter((events) => events.length > 0).length).toBeGreaterThan(200)
    expect(performance.now() - startedMs).toBeLessThan(LIMIT_MS)
  })

  it('resolves 500 events by the index of message ids, in the partitions of their time', async () => {
    const received_at = '2026-01-29T12:00:00.000Z'
    const events = Array.from({ length: 500 }, (_, n) => ({
      ...makeUnresolvedEvent({ provider_message_id: `message-${n * 600}` }),
      received_at,
    }))
    const plan = await explain(RESOLVE, resolveValues(events))
    const reads = readsOf(plan).filter((node) => node['Relation Name']?.startsWith('notification_status'))

    expect(reads.map((node) => node['Relation Name'])).toContain('notification_status_2026_01')
    for (const node of reads)
      expect([node['Node Type'], indexOf(node)]).toEqual([
        'Index Scan',
        'notification_status_provider_message_id_idx',
      ])
    const startedMs = performance.now()
    const found = await resolveEvents(db, events, DEFAULT_RECIPIENT_KEY)
    expect(found.filter((event) => event !== undefined).length).toBeGreaterThan(200)
    expect(performance.now() - startedMs).toBeLessThan(LIMIT_MS)
  })
})
