import type { StatusEvent } from '@tidings/shared/status-event'
import type { Database } from '../database.ts'
import { withTransaction } from '../with-transaction.ts'

/**
 * Keeps events for the worker to put on the queue. Adding an event twice is harmless: the worker finds the second
 * one stored already. Two contents under one idempotency key are both kept.
 */
export async function addToOutbox(db: Database, events: readonly StatusEvent[], why: string): Promise<void> {
  await db.pool.query(
    `INSERT INTO event_outbox (id, event, why)
     SELECT gen_random_uuid(), event, $2 FROM unnest($1::jsonb[]) AS event`,
    [events.map((event) => JSON.stringify(event)), why],
  )
}

/**
 * Hands the oldest events to `publish`, and deletes them after it succeeded. A crash in between publishes them
 * again, which stores nothing twice.
 *
 * @returns how many events were published.
 */
export async function relayOutbox(
  db: Database,
  limit: number,
  publish: (events: StatusEvent[]) => Promise<void>,
): Promise<number> {
  return withTransaction(db.pool, async (client) => {
    const { rows } = await client.query<{ id: string; event: StatusEvent }>(
      'SELECT id, event FROM event_outbox ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED',
      [limit],
    )
    if (rows.length > 0) {
      await publish(rows.map((row) => row.event))
      await client.query('DELETE FROM event_outbox WHERE id = ANY($1::uuid[])', [rows.map((row) => row.id)])
    }
    return rows.length
  })
}

/** How many events wait to be published. */
export async function countOutboxEvents(db: Database): Promise<number> {
  const { rows } = await db.pool.query<{ count: string }>('SELECT count(*) FROM event_outbox')
  return Number(rows[0]?.count ?? 0)
}
