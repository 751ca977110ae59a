import { handlePoolErrors } from '@tidings/db/database'
import { ConnectErrorTrackingClient } from '@tidings/db/failure'
import pg from 'pg'
import { type JobQueue, openQueue, type QueueBackend, SILENCE_LIMIT_MS } from '../backend.ts'
import { assertReadable } from '../envelope.ts'
import {
  DEAD_LETTER_JOB,
  DEAD_LETTER_JOB_OPTIONS,
  DEAD_LETTER_QUEUE,
  ENVELOPE_JOB,
  ENVELOPE_JOB_OPTIONS,
  shardNames,
} from '../policy.ts'
import { countQueuedEvents, readDepth } from '../queue-depth.ts'
import { findShards } from '../shards.ts'
import {
  type DeadLetterEntry,
  diedAt,
  MAX_BATCH,
  MAX_BATCH_BYTES,
  type PlacedEntry,
  toEntry,
  toJobData,
} from './entry.ts'
import type { DeadLetterStore, PageRequest } from './store.ts'

interface PostgresOptions {
  backend: Extract<QueueBackend, { kind: 'postgres' }>
  shards: number
  onError(error: Error): void
}

interface JobRow {
  id: string
  data: unknown
}

interface PlacedRow extends JobRow {
  priority: number
  seq: string
  bytes: number
}

const IN_DEAD_QUEUE = `queue = '${DEAD_LETTER_QUEUE}' AND state = 'waiting'`
const COUNT = `SELECT count(*)::int AS count FROM job WHERE ${IN_DEAD_QUEUE} AND priority > 0`
const HAS_ANY = `SELECT EXISTS (SELECT FROM job WHERE ${IN_DEAD_QUEUE} AND priority > 0) AS found`
/** What is sent of an entry; its stored size is a compressed one. */
const BYTES = 'octet_length(data::text)'
const PAGE_UP = pageQuery('>', 'ASC')
const PAGE_DOWN = pageQuery('<', 'DESC')
const FIND = `SELECT id, data FROM job WHERE ${IN_DEAD_QUEUE} AND id = ANY($1::text[])`
const SIZES = `SELECT id, ${BYTES} AS bytes FROM job WHERE ${IN_DEAD_QUEUE} AND id = ANY($1::text[])`
// Always in the same order, so that two operators wait for each other instead of deadlocking.
const LOCK = `${FIND} ORDER BY id FOR UPDATE`
// BullMQ's own functions, called as BullMQ calls them: only they know what else belongs to a job.
const REMOVE = `SELECT remove('${DEAD_LETTER_QUEUE}', id, false) FROM unnest($1::text[]) AS t(id)`
const REWRITE = `UPDATE job SET data = new.data
  FROM unnest($1::text[], $2::jsonb[]) AS new(id, data) WHERE queue = '${DEAD_LETTER_QUEUE}' AND job.id = new.id`
const ADD = 'SELECT id FROM add_jobs_bulk($1, $2::jsonb) AS t(id)'

/**
 * Dead letters on BullMQ's PostgreSQL backend. Reads its table by the index that also hands out jobs, since
 * BullMQ's own getters page by offset; writes only through its functions, in one transaction.
 */
export async function openPostgresDeadLetters({
  backend,
  shards,
  onError,
}: PostgresOptions): Promise<DeadLetterStore> {
  // First: when it fails, nothing is open yet.
  const names = shardNames(await findShards(backend, undefined, shards))
  const pool = new pg.Pool({
    Client: ConnectErrorTrackingClient,
    connectionString: backend.url,
    options: `-c search_path=${pg.escapeIdentifier(backend.schema)},public`,
    application_name: 'tidings-dead-letters',
    max: 4,
    connectionTimeoutMillis: 3_000,
    // A worker's jobs wait for some of these answers.
    statement_timeout: SILENCE_LIMIT_MS,
    query_timeout: SILENCE_LIMIT_MS + 1_000,
    keepAlive: true,
  })
  handlePoolErrors(pool, onError)
  const dead = openQueue<object>(DEAD_LETTER_QUEUE, backend, undefined, { onError })
  const mains = names.map((name) => openQueue<object>(name, backend, undefined, { onError }))
  let nextShard = Math.floor(Math.random() * shards)

  async function page({ after, limit, newestFirst = false }: PageRequest): Promise<PlacedEntry[]> {
    const [priority, seq] = after?.split('.') ?? (newestFirst ? [2_147_483_647, 0] : [0, 0])
    const query = newestFirst ? PAGE_DOWN : PAGE_UP
    const found = await pool.query<PlacedRow>(query, [priority, seq, limit, MAX_BATCH_BYTES])
    return found.rows.map((row) => ({
      entry: toEntry(row.id, row.data),
      position: `${row.priority}.${row.seq}`,
      bytes: row.bytes,
    }))
  }

  async function sizes(ids: readonly string[]): Promise<Map<string, number>> {
    const found = await pool.query<{ id: string; bytes: number }>(SIZES, [ids])
    return new Map(found.rows.map(({ id, bytes }) => [id, bytes]))
  }

  async function find(ids: readonly string[]): Promise<DeadLetterEntry[]> {
    const found = await pool.query<JobRow>(FIND, [ids])
    const byId = new Map(found.rows.map((row) => [row.id, row.data]))
    return ids.filter((id) => byId.has(id)).map((id) => toEntry(id, byId.get(id)))
  }

  async function inTransaction<Result>(run: (client: pg.PoolClient) => Promise<Result>): Promise<Result> {
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      const result = await run(client)
      await client.query('COMMIT')
      client.release()
      return result
    } catch (error) {
      // The server rolls back when the connection ends, whatever state it is in.
      client.release(true)
      throw error
    }
  }

  async function lockEntries(client: pg.PoolClient, ids: readonly string[]): Promise<DeadLetterEntry[]> {
    assertBatch(ids)
    const found = await client.query<JobRow>(LOCK, [ids])
    return found.rows.map((row) => toEntry(row.id, row.data))
  }

  async function enqueue(client: pg.PoolClient, events: unknown[]): Promise<void> {
    const main: JobQueue<object> | undefined = mains[nextShard++ % shards]
    if (main === undefined) throw new Error('There must be at least one shard.')
    const data = JSON.stringify({ v: 1, events })
    assertReadable(data)
    const job = {
      name: ENVELOPE_JOB,
      data,
      opts: ENVELOPE_JOB_OPTIONS,
      timestamp: Date.now(),
      attempts: ENVELOPE_JOB_OPTIONS.attempts,
    }
    await client.query(ADD, [main.name, JSON.stringify([job])])
  }

  return {
    count: async () => (await pool.query<{ count: number }>(COUNT)).rows[0]?.count ?? 0,
    isEmpty: async () => !(await pool.query<{ found: boolean }>(HAS_ANY)).rows[0]?.found,
    page,
    sizes,
    get: find,
    requeue: (ids, prepare) =>
      inTransaction(async (client) => {
        const found = await lockEntries(client, ids)
        const prepared = found.map((entry) => ({ entry, event: prepare(entry) }))
        const moving = prepared.filter(({ event }) => event !== undefined)
        if (moving.length === 0) return []
        await enqueue(
          client,
          moving.map(({ event }) => event),
        )
        await client.query(REMOVE, [moving.map(({ entry }) => entry.id)])
        return moving.map(({ entry }) => entry)
      }),
    discard: (entries) =>
      inTransaction(async (client) => {
        const wanted = diedAt(entries)
        const found = await lockEntries(client, [...wanted.keys()])
        const same = found.filter((entry) => wanted.get(entry.id) === entry.dead_at).map((entry) => entry.id)
        await client.query(REMOVE, [same])
        return same
      }),
    rewrite: (ids, change) =>
      inTransaction(async (client) => {
        const found = await lockEntries(client, ids)
        const data = found.map((entry) => JSON.stringify(toJobData(change(entry))))
        await client.query(REWRITE, [found.map((entry) => entry.id), data])
        return found.map((entry) => entry.id)
      }),
    restore: async (entries) => {
      assertBatch(entries)
      const existed = await sizes(entries.map((entry) => entry.id))
      const added = entries.filter((entry) => !existed.has(entry.id))
      await dead.addBulk(
        added.map((entry) => ({
          name: DEAD_LETTER_JOB,
          data: toJobData(entry),
          opts: { ...DEAD_LETTER_JOB_OPTIONS, jobId: entry.id },
        })),
      )
      return added.map((entry) => entry.id)
    },
    depth: () => readDepth(mains),
    countQueuedEvents: () => countQueuedEvents(mains),
    close: async () => {
      await Promise.all([dead, ...mains].map((queue) => queue.close()))
      await pool.end()
    },
  }
}

/**
 * $1 and $2: the position to go on from, $3: the most entries, $4: the most bytes of more than one. Goes from entry to
 * entry by the index, so that it looks at the size of no more than one that is not in the page. The condition on the
 * priority is one that the index cannot take: with `> 0` each step would start at the first entry of all.
 */
function pageQuery(behind: '>' | '<', order: 'ASC' | 'DESC'): string {
  const next = (priority: string, seq: string) => `SELECT id, data, priority, seq, ${BYTES} AS bytes FROM job
    WHERE ${IN_DEAD_QUEUE} AND priority <> 0 AND (priority, seq) ${behind} (${priority}, ${seq})
    ORDER BY priority ${order}, seq ${order} LIMIT 1`
  return `WITH RECURSIVE page AS (
    SELECT first.*, 1 AS place, first.bytes::bigint AS total FROM (${next('$1::int', '$2::bigint')}) first
    UNION ALL
    SELECT next.*, place + 1, total + next.bytes FROM page, LATERAL (${next('page.priority', 'page.seq')}) next
    WHERE place < $3 AND total + next.bytes <= $4
  ) SELECT id, data, priority, seq, bytes FROM page ORDER BY place`
}

function assertBatch(batch: readonly unknown[]): void {
  if (batch.length > MAX_BATCH) throw new RangeError(`At most ${MAX_BATCH} dead letters at once.`)
}
