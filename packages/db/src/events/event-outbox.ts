import type { StatusEvent } from '@tidings/shared/status-event'
import type pg from 'pg'

/**
 * Keeps events for the worker to put on the queue. One that is parked twice is put there twice, and booked as a
 * repeat like any other; two contents under one key are both kept.
 */
export async function addToOutbox(pool: pg.Pool, events: readonly StatusEvent[], why: string): Promise<void> {
  await pool.query(
    `INSERT INTO event_outbox (id, event, why)
     SELECT gen_random_uuid(), event, $2 FROM unnest($1::jsonb[]) AS event`,
    [events.map((event) => JSON.stringify(event)), why],
  )
}

/**
 * Hands the oldest parked events to `publish` and forgets them once it has succeeded. A crash in between
 * publishes them again, which stores nothing twice.
 *
 * @returns how many were handed over.
 */
export async function relayOutbox(
  pool: pg.Pool,
  limit: number,
  publish: (events: StatusEvent[]) => Promise<void>,
): Promise<number> {
  const client = await pool.connect()
  let failure: Error | undefined
  try {
    await client.query('BEGIN')
    const { rows } = await client.query<{ id: string; event: StatusEvent }>(
      'SELECT id, event FROM event_outbox ORDER BY parked_at LIMIT $1 FOR UPDATE SKIP LOCKED',
      [limit],
    )
    if (rows.length > 0) {
      await publish(rows.map((row) => row.event))
      await client.query('DELETE FROM event_outbox WHERE id = ANY($1::uuid[])', [rows.map((row) => row.id)])
    }
    await client.query('COMMIT')
    return rows.length
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
    throw error
  } finally {
    // Destroying the connection also ends the transaction.
    client.release(failure)
  }
}

/** How many wait. */
export async function countOutboxEvents(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ count: string }>('SELECT count(*) FROM event_outbox')
  return Number(rows[0]?.count ?? 0)
}
