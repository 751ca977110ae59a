import pg from 'pg'
import type { QueuedEvent } from './event.ts'

/** Every peer has a pool of the same size. */
export const openPool = (databaseUrl: string) => new pg.Pool({ connectionString: databaseUrl, max: 20 })

/** The peers' table. It is that of Tidings without partitions, so that the primary key makes storing idempotent. */
export const PEER_TABLE = 'peer_events'

const COLUMNS = `id, user_id, "timestamp", received_at, notification_type, status, attempt, notification_id,
  source, error, event_id, provider, provider_message_id, metadata`

/** One prepared INSERT per event. A redelivery changes nothing. */
const INSERT_ONE = {
  name: 'insert-event',
  text: `INSERT INTO ${PEER_TABLE} (${COLUMNS})
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (id) DO NOTHING`,
}

export async function insertEvent(pool: pg.Pool, event: QueuedEvent): Promise<void> {
  await pool.query({ ...INSERT_ONE, values: toRow(event) })
}

/** Inserts many events in one statement. */
export async function insertEvents(pool: pg.Pool, events: readonly QueuedEvent[]): Promise<void> {
  const rows = events.map(toRow)
  const values = rows.map(
    (row, line) => `(${row.map((_, column) => `$${line * row.length + column + 1}`).join(', ')})`,
  )
  await pool.query({
    name: `insert-${rows.length}-events`,
    text: `INSERT INTO ${PEER_TABLE} (${COLUMNS}) VALUES ${values.join(', ')}
      ON CONFLICT (id) DO NOTHING`,
    values: rows.flat(),
  })
}

function toRow(event: QueuedEvent): unknown[] {
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
