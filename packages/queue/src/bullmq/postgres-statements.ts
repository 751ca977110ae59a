import { DEAD_LETTER_QUEUE } from '../policy.ts'

/*
 * Statements on the tables of BullMQ's PostgreSQL backend. BullMQ's own getters page by offset, which shifts while
 * jobs are removed. UPGRADING.md lists what to check for each new version of BullMQ.
 */

const IN_DEAD_QUEUE = `queue = '${DEAD_LETTER_QUEUE}' AND state = 'waiting'`
/** Bytes that an entry takes on the wire. PostgreSQL stores it compressed. */
const BYTES = 'octet_length(data::text)'

export const COUNT = `SELECT count(*)::int AS count FROM job WHERE ${IN_DEAD_QUEUE} AND priority > 0`
/** Each worker has a connection that bears the name of its queue. Counts those of the queue with the fewest. */
export const COUNT_WORKERS = `SELECT min(workers)::int AS workers FROM (
  SELECT count(activity.pid) AS workers FROM unnest($1::text[]) AS queue(name)
  LEFT JOIN pg_stat_activity AS activity
    ON activity.application_name = queue.name AND activity.datname = current_database()
  GROUP BY queue.name) AS counted`
export const FIND = `SELECT id, data FROM job WHERE ${IN_DEAD_QUEUE} AND id = ANY($1::text[])`
export const FIND_BY_EVENT = `SELECT id FROM job WHERE ${IN_DEAD_QUEUE}
  AND regexp_replace(id, '^dead-(.*?)(-[0-9a-f]{8})?$', '\\1') = ANY($1::text[])`
export const SIZES = `SELECT id, ${BYTES} AS bytes FROM job WHERE ${IN_DEAD_QUEUE} AND id = ANY($1::text[])`
/** Always in the same order: two operators then wait for each other instead of deadlocking. */
export const LOCK = `${FIND} ORDER BY id FOR UPDATE`
export const REWRITE = `UPDATE job SET data = new.data
  FROM unnest($1::text[], $2::jsonb[]) AS new(id, data) WHERE queue = '${DEAD_LETTER_QUEUE}' AND job.id = new.id`
// BullMQ's own functions, called as BullMQ calls them: only they know which other rows belong to a job.
export const REMOVE = `SELECT remove('${DEAD_LETTER_QUEUE}', id, false) FROM unnest($1::text[]) AS t(id)`
export const ADD_JOBS = 'SELECT id FROM add_jobs_bulk($1, $2::jsonb) AS t(id)'
export const PAGE_UP = pageQuery('>', 'ASC')
export const PAGE_DOWN = pageQuery('<', 'DESC')

/**
 * One page of entries after a position: $1 priority and $2 sequence of the position, $3 most entries, $4 most bytes.
 * It steps from entry to entry through the index that hands out jobs, so it reads the size of at most one entry that
 * is not on the page. `priority <> 0` is deliberate: with `> 0` the index scan of each step would start at the
 * first entry.
 */
function pageQuery(after: '>' | '<', order: 'ASC' | 'DESC'): string {
  const next = (priority: string, seq: string) => `SELECT id, data, priority, seq, ${BYTES} AS bytes FROM job
    WHERE ${IN_DEAD_QUEUE} AND priority <> 0 AND (priority, seq) ${after} (${priority}, ${seq})
    ORDER BY priority ${order}, seq ${order} LIMIT 1`
  return `WITH RECURSIVE page AS (
    SELECT first.*, 1 AS place, first.bytes::bigint AS total FROM (${next('$1::int', '$2::bigint')}) first
    UNION ALL
    SELECT next.*, place + 1, total + next.bytes FROM page, LATERAL (${next('page.priority', 'page.seq')}) next
    WHERE place < $3 AND total + next.bytes <= $4
  ) SELECT id, data, priority, seq, bytes FROM page ORDER BY place`
}
