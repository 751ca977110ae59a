import { MIN_DEDUPLICATION_DAYS } from '@tidings/db/events/deduplication-window'
import { createPartitions, startOfMonth } from '@tidings/db/events/partitions'
import { startTidings } from '../contenders/tidings.ts'
import { EVENT_SOURCE, USERS, userIdOf } from '../load/bodies.ts'
import type { LoadRequest } from '../load/protocol.ts'
import { runLoad } from '../load/run-load.ts'
import type { RegisteredUser } from '../load/users.ts'
import { registerUser } from '../load/users.ts'
import { measureIngest } from '../measure-ingest.ts'
import type { Site } from '../site.ts'
import { ratioOf, runRounds } from './rounds.ts'
import type { Goal, ResultRow, Scenario, ScenarioContext } from './scenario.ts'

const CONNECTIONS = 128
/** Queries per second while their latency is measured: well below the API's capacity. */
const QUERY_RATE = 100
const SAMPLED_NOTIFICATIONS = 5_000

interface TableSize {
  name: string
  label: string
  rows: number
  site: Site
  /** Folder of another checkout, which runs on this table. */
  checkout?: string | undefined
}

/** The months that the events of a table are spread over. */
const MONTHS = 12

/**
 * The same ingest and the same queries on a table of ten thousand rows, and of ten million: on partitions of a year, and
 * on the table of another checkout.
 */
export const GROWTH: Scenario = {
  name: 'growth',
  title: 'Growth of the table',
  async run(context) {
    const { quick } = context.effort
    const sizes =
      context.effort.rows ?? (quick ? [10_000, 100_000] : [10_000, 100_000, 1_000_000, 10_000_000])
    const tables: TableSize[] = []
    for (const rows of sizes) {
      const count = rows.toLocaleString('en-US')
      for (const checkout of [undefined, ...context.against.map((contender) => contender.checkout)]) {
        const name = `growth_${rows}${checkout === undefined ? '' : '_against'}`
        const label = `Tidings${checkout === undefined ? '' : ` of ${checkout}`}, ${count} rows before`
        context.progress(`growth: filling ${name}`)
        const site = await context.site.withDatabase(name, checkout)
        await fillTable(site, rows)
        tables.push({ name, label, rows, site, checkout })
      }
    }
    const rows = await runRounds(
      context,
      'growth',
      tables.map((table) => ({
        name: table.name,
        label: table.label,
        kind: 'tidings',
        measure: (round) => measureSize(context, table, round),
      })),
    )
    const own = tables.filter(({ checkout }) => checkout === undefined)
    const [smallest] = own
    const largest = own.at(-1)
    const share = ratioOf(rows, largest?.name ?? '', 'storedPerSecond', smallest?.name ?? '')
    return {
      columns: [
        { metric: 'storedPerSecond', title: 'stored', unit: 'perSecond' },
        { metric: 'notificationP50Ms', title: 'notification p50', unit: 'ms' },
        { metric: 'notificationP99Ms', title: 'notification p99', unit: 'ms' },
        { metric: 'historyP99Ms', title: 'history p99', unit: 'ms' },
        { metric: 'cpuPostgresMicros', title: 'CPU postgres', unit: 'micros' },
      ],
      rows,
      goals: [
        {
          text: `ingest at ${largest?.rows.toLocaleString('en-US')} rows at least 70 % of that at ${smallest?.rows.toLocaleString('en-US')}`,
          figure: `${(share * 100).toFixed(0)} %`,
          met: share >= 0.7,
        },
        ...(context.against.length === 0
          ? []
          : own.map(({ name, rows: before }) => compare(rows, name, before))),
      ],
      notes: [
        `Each size has its own database; each round removes the rows that it added. Queries over HTTP at ${QUERY_RATE}/s: GET /notifications/{id}/ of ${SAMPLED_NOTIFICATIONS} notifications from the whole table, GET /status/history/ of one user.`,
      ],
    }
  },
}

/** The goal beside another checkout: a key table costs a little, and smaller indexes give it back. */
function compare(rows: readonly ResultRow[], name: string, before: number): Goal {
  const ratio = ratioOf(rows, name, 'storedPerSecond', `${name}_against`)
  const least = before < 10_000_000 ? 0.9 : 1
  return {
    text: `ingest at ${before.toLocaleString('en-US')} rows at least ${least} of the other checkout's`,
    figure: ratio.toFixed(2),
    met: ratio >= least,
  }
}

/** Inserts three events per notification, spread over the users and a year. Builds the indexes afterwards: that is faster. */
async function fillTable(site: Site, rows: number): Promise<void> {
  const { pool } = site
  const hasKeys = await isPartitioned(site)
  if (hasKeys) await createPastPartitions(site)
  const indexes = await pool.query<{ name: string; definition: string }>(
    `SELECT indexname AS name, replace(indexdef, ' ON ONLY ', ' ON ') AS definition FROM pg_indexes
     WHERE tablename = 'notification_status' AND indexname <> 'notification_status_pkey'`,
  )
  for (const { name } of indexes.rows) await pool.query(`DROP INDEX ${name}`)
  await pool.query(
    `INSERT INTO notification_status
       (id, user_id, "timestamp", received_at, notification_type, status, notification_id, source, provider)
     SELECT uuidv7(age), ('00000000-0000-4000-8000-' || lpad((1 + n * 7919 % ${USERS})::text, 12, '0'))::uuid,
       now() + age, now() + age, 'email',
       (ARRAY['pending', 'sent', 'delivered'])[1 + n % 3]::notification_status_name,
       'old-' || md5((n / 3)::text), '${EVENT_SOURCE}', 'sendgrid'
     FROM (
       SELECT n, interval '-365 days' * (n::float8 / ${rows}) AS age FROM generate_series(1::bigint, ${rows}) AS n
     ) AS events ORDER BY n DESC`,
  )
  for (const { definition } of indexes.rows) await pool.query(definition)
  if (hasKeys)
    await pool.query(
      `INSERT INTO event_keys SELECT id, received_at, content_hash FROM notification_status
       WHERE received_at > now() - interval '${MIN_DEDUPLICATION_DAYS} days' ORDER BY received_at`,
    )
  // Not the partitions of the future: autovacuum does not look at empty tables either.
  for (const table of await listTables(site)) await pool.query(`VACUUM ANALYZE ${table}`)
}

async function isPartitioned({ pool }: Site): Promise<boolean> {
  const { rows } = await pool.query<{ found: boolean }>(
    "SELECT to_regclass('event_keys') IS NOT NULL AS found",
  )
  return rows[0]?.found ?? false
}

async function createPastPartitions({ pool }: Site): Promise<void> {
  const client = await pool.connect()
  const months = Array.from({ length: MONTHS + 1 }, (_, past) => startOfMonth(new Date(), -past))
  await createPartitions(client, months).finally(() => client.release())
}

/** The tables of events that hold rows. */
async function listTables({ pool }: Site): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relname ~ '^(notification_status|event_keys)'
       AND pg_relation_size(oid) > 0`,
  )
  return rows.map(({ name }) => name)
}

async function measureSize(
  { site: { queue }, effort }: ScenarioContext,
  { site, rows, checkout }: TableSize,
  round: number,
) {
  const startedAt = new Date()
  await queue.clear()
  const sample = await sampleNotifications(site, rows)
  await site.pool.query('CHECKPOINT')
  const tidings = await startTidings(site, {
    apis: 1,
    workers: 1,
    shards: 1,
    ...(checkout !== undefined && { checkout }),
  })
  try {
    const [api = ''] = tidings.urls
    const user = await registerUser(api, `growth-${Date.now()}@example.com`)
    await giveHistory(site, userIdOf(round + 1), user)
    const plan = { connections: CONNECTIONS, batch: 1 }
    await measureIngest(site, tidings, { ...plan, seconds: effort.warmUpSeconds, label: `warm-${round}` })
    const ingest = await measureIngest(site, tidings, {
      ...plan,
      seconds: effort.seconds,
      label: `grow-${round}`,
    })
    const notifications = await measureQueries(effort.seconds, api, site.apiKey, sample)
    const history = await measureQueries(effort.seconds, api, user.accessToken, [
      { method: 'GET', path: '/api/v1/status/history/?limit=50' },
    ])
    return {
      storedPerSecond: ingest.storedPerSecond,
      cpuPostgresMicros: ingest.cpuMicros.postgres ?? Number.NaN,
      notificationP50Ms: notifications.p50Ms,
      notificationP99Ms: notifications.p99Ms,
      historyP99Ms: history.p99Ms,
    }
  } finally {
    await tidings.stop()
    for (const table of await listTables(site)) {
      await site.pool.query(`DELETE FROM ${table} WHERE received_at >= $1`, [startedAt])
      await site.pool.query(`VACUUM ${table}`)
    }
  }
}

/** Assigns the events of one of the table's users to a user who can log in. */
async function giveHistory(site: Site, from: string, user: RegisteredUser): Promise<void> {
  await site.pool.query('UPDATE notification_status SET user_id = $1 WHERE user_id = $2', [user.id, from])
}

async function sampleNotifications(site: Site, rows: number): Promise<LoadRequest[]> {
  const sample = await site.pool.query<{ id: string }>(
    `SELECT 'old-' || md5(floor(random() * $1 / 3)::int::text) AS id FROM generate_series(1, $2)`,
    [rows, SAMPLED_NOTIFICATIONS],
  )
  return sample.rows.map(({ id }) => ({ method: 'GET', path: `/api/v1/notifications/${id}/` }))
}

function measureQueries(seconds: number, url: string, bearer: string, requests: LoadRequest[]) {
  return runLoad({
    url,
    bearer,
    connections: 8,
    seconds,
    perSecond: QUERY_RATE,
    traffic: { kind: 'requests', requests },
  })
}
