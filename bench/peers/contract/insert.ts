import pg from 'pg'
import { env } from './env.ts'
import type { QueuedEvent } from './event.ts'

/** A pool as node-postgres documents it; the size is the same for every peer. */
export const openPool = () => new pg.Pool({ connectionString: env.DATABASE_URL, max: 20 })

const COLUMNS = `id, user_id, "timestamp", received_at, notification_type, status, attempt, notification_id,
  source, error, event_id, provider, provider_message_id, metadata`

/** One event, one prepared INSERT. Delivering it again changes nothing. */
const INSERT_ONE = {
  name: 'insert-event',
  text: `INSERT INTO notification_status (${COLUMNS})
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (id) DO NOTHING`,
}

export async function insertEvent(pool: pg.Pool, event: QueuedEvent): Promise<void> {
  await pool.query({ ...INSERT_ONE, values: rowOf(event) })
}

/** Many events in one INSERT with a list of VALUES. */
export async function insertEvents(pool: pg.Pool, events: readonly QueuedEvent[]): Promise<void> {
  const rows = events.map(rowOf)
  const values = rows.map(
    (row, line) => `(${row.map((_, column) => `$${line * row.length + column + 1}`).join(', ')})`,
  )
  await pool.query({
    name: `insert-${rows.length}-events`,
    text: `INSERT INTO notification_status (${COLUMNS}) VALUES ${values.join(', ')}
      ON CONFLICT (id) DO NOTHING`,
    values: rows.flat(),
  })
}

function rowOf(event: QueuedEvent): unknown[] {
  return [
    event.id,
    event.user_id ?? null,
    event.timestamp,
    event.received_at,
    event.notification_type,
    event.status,
    event.attempt ?? null,
    event.notification_id,
    event.source,
    typeof event.error === 'object' ? event.error.message : (event.error ?? null),
    event.event_id ?? null,
    event.provider ?? null,
    event.provider_message_id ?? null,
    event.metadata === undefined ? null : JSON.stringify(event.metadata),
  ]
}
