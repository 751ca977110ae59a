import type { Database } from '../database.ts'
import { PROBE_SOURCE } from './probe-events.ts'

/** Rows that the statistics do not count: those that the import from Django adds, and those of a probe. */
const UNCOUNTED = `('django', '${PROBE_SOURCE}')`

/** How far back rows are compared, in hours, and most rows that are read. */
const MAX_HOURS = 48
const MAX_ROWS = 1_000_000

export interface CountComparison {
  /** Start of the first hour that was compared; undefined when the current hour alone has too many rows. */
  since: Date | undefined
  /** Events that were counted since then. */
  counted: number
  /** The hours in which the count is not the number of rows, oldest first. */
  differing: { hour: Date; counted: number; rows: number }[]
}

// The start of the last MAX_HOURS, or of the latest hours that have at most MAX_ROWS rows together.
const FIND_START = `
SELECT CASE WHEN coalesce(max(total), 0) <= ${MAX_ROWS} THEN date_trunc('hour', now() - interval '${MAX_HOURS} hours', 'UTC')
  ELSE min(hour) FILTER (WHERE total <= ${MAX_ROWS}) END AS since
FROM (
  SELECT hour, sum(sum(count)) OVER (ORDER BY hour DESC) AS total FROM status_counts
  WHERE hour >= now() - interval '${MAX_HOURS} hours' AND source NOT IN ${UNCOUNTED} GROUP BY hour
) AS hours`

// One statement, so that counts and rows are of the same moment.
const COMPARE = `
WITH counts AS (
  SELECT hour, sum(count) AS counted FROM status_counts
  WHERE hour >= $1 AND source NOT IN ${UNCOUNTED} GROUP BY hour
), rows AS (
  SELECT date_trunc('hour', received_at, 'UTC') AS hour, count(*) AS rows FROM notification_status
  WHERE received_at >= $1 AND source NOT IN ${UNCOUNTED} GROUP BY 1
)
SELECT hour, coalesce(counted, 0)::float8 AS counted, coalesce(rows, 0)::float8 AS rows
FROM counts FULL JOIN rows USING (hour) ORDER BY hour`

/** Compares the counts of the last hours with the rows. Reads at most MAX_ROWS rows, through their index by time. */
export async function compareCounts(db: Database): Promise<CountComparison> {
  const found = await db.pool.query<{ since: Date | null }>(FIND_START)
  const since = found.rows[0]?.since ?? undefined
  if (since === undefined) return { since, counted: 0, differing: [] }
  const { rows } = await db.pool.query<{ hour: Date; counted: number; rows: number }>(COMPARE, [since])
  return {
    since,
    counted: rows.reduce((sum, hour) => sum + hour.counted, 0),
    differing: rows.filter(({ counted, rows }) => counted !== rows),
  }
}
