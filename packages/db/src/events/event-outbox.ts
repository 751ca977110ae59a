import type { AcceptedItem } from '@tidings/shared/status-event'
import type { Database } from '../database.ts'
import { withTransaction } from '../with-transaction.ts'

/** The most that one publish holds, in bytes of JSON. A larger item goes alone. The worker reads four times as much. */
const MAX_PUBLISHED_BYTES = 4 * 1024 * 1024

// The oldest items up to a number and a size. The inner query bounds what is measured.
const CLAIM = `
SELECT id, event FROM event_outbox WHERE id IN (
  SELECT id FROM (
    SELECT id, row_number() OVER oldest AS place, sum(octet_length(event::text)) OVER oldest AS bytes
    FROM (SELECT * FROM event_outbox ORDER BY created_at, id LIMIT $1) AS candidate
    WINDOW oldest AS (ORDER BY created_at, id)
  ) AS measured
  WHERE place = 1 OR bytes <= ${MAX_PUBLISHED_BYTES}
) ORDER BY created_at, id FOR UPDATE SKIP LOCKED`

/**
 * Keeps items for the worker to put on the queue. Adding an item twice is harmless: the worker finds the second one
 * stored or dead-lettered already. Two contents under one idempotency key are both kept.
 */
export async function addToOutbox(db: Database, items: readonly AcceptedItem[], why: string): Promise<void> {
  await db.pool.query(
    `INSERT INTO event_outbox (id, event, why)
     SELECT gen_random_uuid(), event, $2 FROM unnest($1::jsonb[]) AS event`,
    [items.map((item) => JSON.stringify(item)), why],
  )
}

/**
 * Hands the oldest items to `publish`, and deletes them after it succeeded. A crash in between publishes them
 * again, which stores nothing twice.
 *
 * @returns how many items were published.
 */
export async function relayOutbox(
  db: Database,
  limit: number,
  publish: (items: AcceptedItem[]) => Promise<void>,
): Promise<number> {
  return withTransaction(db.pool, async (client) => {
    const { rows } = await client.query<{ id: string; event: AcceptedItem }>(CLAIM, [limit])
    if (rows.length > 0) {
      await publish(rows.map((row) => row.event))
      await client.query('DELETE FROM event_outbox WHERE id = ANY($1::uuid[])', [rows.map((row) => row.id)])
    }
    return rows.length
  })
}

/** How many items wait to be published. */
export async function countOutboxEvents(db: Database): Promise<number> {
  const { rows } = await db.pool.query<{ count: string }>('SELECT count(*) FROM event_outbox')
  return Number(rows[0]?.count ?? 0)
}
