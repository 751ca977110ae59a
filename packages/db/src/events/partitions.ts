import type pg from 'pg'
import type { Database } from '../database.ts'

const DEFAULT_PARTITION = 'notification_status_default'
/** Months that have a partition before their first event comes: this one and the next two. */
const MONTHS_AHEAD = 3
/** How long creating a partition may wait for other transactions, while new ones wait behind it. */
const LOCK_LIMIT = '500ms'

/** A partition of notification_status, its name as SQL. The default one has no bounds. */
export interface Partition {
  name: string
  from: Date | null
  /** The first time that is not in it. */
  to: Date | null
}

/** A pool, or one connection. */
type Connection = pg.Pool | pg.ClientBase

/** Lists the partitions, the oldest first, the default one last. */
export async function listPartitions(connection: Connection): Promise<Partition[]> {
  return (await connection.query<Partition>(LIST)).rows
}

const LIST = `
SELECT name, bounds[1]::timestamptz AS "from", bounds[2]::timestamptz AS "to" FROM (
  SELECT c.oid::regclass::text AS name, regexp_match(pg_get_expr(c.relpartbound, c.oid),
    $$^FOR VALUES FROM \\('([^']+)'\\) TO \\('([^']+)'\\)$$) AS bounds
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = 'notification_status'::regclass AND NOT i.inhdetachpending
) AS part ORDER BY "from" NULLS LAST, name`

/** The first instant of the month of `time`, and that of the month `later` months after it. Months are those of UTC. */
export const startOfMonth = (time: Date, later = 0) =>
  new Date(Date.UTC(time.getUTCFullYear(), time.getUTCMonth() + later, 1))

/** The months that should have a partition at `now`. */
const monthsAhead = (now: Date) =>
  Array.from({ length: MONTHS_AHEAD }, (_, later) => startOfMonth(now, later))

/**
 * Creates the partitions of months that have none. Safe from several processes at once, and while events are stored.
 *
 * @param client a connection outside of a transaction.
 * @param months times in these months.
 * @returns the names of the partitions that this call created.
 * @throws PostgreSQL's error, such as 55P03 when a transaction holds the default partition: call it again later.
 */
export async function createPartitions(client: pg.ClientBase, months: readonly Date[]): Promise<string[]> {
  const partitions = await listPartitions(client)
  const missing = months.map((month) => startOfMonth(month)).filter((month) => !isCovered(partitions, month))
  const created: string[] = []
  for (const month of new Set(missing.map(Number))) {
    const name = await createPartition(client, new Date(month))
    if (name !== undefined) created.push(name)
  }
  return created
}

/** Creates the partitions of this month and the next two, where they are missing. See createPartitions. */
export async function createPartitionsAhead(db: Database, now: Date): Promise<string[]> {
  const client = await db.pool.connect()
  let hasFailed = true
  try {
    const created = await createPartitions(client, monthsAhead(now))
    hasFailed = false
    return created
  } finally {
    // After an error a statement may still run on the connection.
    client.release(hasFailed)
  }
}

const isCovered = (partitions: readonly Partition[], time: Date) =>
  partitions.some(({ from, to }) => from !== null && to !== null && from <= time && time < to)

async function createPartition(client: pg.ClientBase, month: Date): Promise<string | undefined> {
  const name = `notification_status_${month.toISOString().slice(0, 7).replace('-', '_')}`
  try {
    await client.query('BEGIN')
    // Processes take turns. Two that create one table at once get one of several errors.
    await client.query("SELECT pg_advisory_xact_lock(hashtext('notification_status partitions'))")
    const isMissing = !isCovered(await listPartitions(client), month)
    if (isMissing) await attachPartition(client, name, month)
    await client.query('COMMIT')
    return isMissing ? name : undefined
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

/**
 * CREATE TABLE … PARTITION OF would block the whole table. ATTACH blocks only the default partition, which is nearly
 * always empty. Rows of the month that are in the default partition move into the new one.
 */
async function attachPartition(client: pg.ClientBase, name: string, month: Date): Promise<void> {
  const bounds = [month.toISOString(), startOfMonth(month, 1).toISOString()]
  const [from, to] = bounds.map((bound) => client.escapeLiteral(bound))
  await client.query(`SET LOCAL lock_timeout = '${LOCK_LIMIT}'`)
  await client.query(`CREATE TABLE ${name} (LIKE notification_status INCLUDING ALL)`)
  await client.query(`LOCK TABLE ${DEFAULT_PARTITION} IN ACCESS EXCLUSIVE MODE`)
  await client.query(`
    WITH moved AS (
      DELETE FROM ${DEFAULT_PARTITION} WHERE received_at >= ${from} AND received_at < ${to} RETURNING *
    ) INSERT INTO ${name} SELECT * FROM moved`)
  await client.query(
    `ALTER TABLE notification_status ATTACH PARTITION ${name} FOR VALUES FROM (${from}) TO (${to})`,
  )
}

/** What `tidings doctor` looks at. */
export interface PartitionHealth {
  /** The months ahead, this one included, that have no partition: `2026-12`. */
  missing: string[]
  /** Whether the default partition holds rows. */
  hasDefaultRows: boolean
}

export async function readPartitionHealth(db: Database, now: Date): Promise<PartitionHealth> {
  const partitions = await listPartitions(db.pool)
  const { rows } = await db.pool.query<{ found: boolean }>(
    `SELECT EXISTS (SELECT 1 FROM ${DEFAULT_PARTITION}) AS found`,
  )
  return {
    missing: monthsAhead(now)
      .slice(0, 2)
      .filter((month) => !isCovered(partitions, month))
      .map((month) => month.toISOString().slice(0, 7)),
    hasDefaultRows: rows[0]?.found ?? false,
  }
}
