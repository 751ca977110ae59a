import type { Database } from '../database.ts'

/** Rows deleted by one statement. */
const BATCH = 1_000

/**
 * Deletes some of the messages that expired over a week ago, and of the expired tokens. Safe in several processes at
 * once.
 *
 * @returns the ids of the deleted messages. Where no e-mail service runs, their jobs are still on the queue.
 */
export async function deleteOldMessages(db: Database): Promise<string[]> {
  const messages = await db.pool.query<{ id: string }>(
    `DELETE FROM outbound_messages WHERE id = ANY(ARRAY(
       SELECT id FROM outbound_messages WHERE expires_at < now() - interval '7 days'
       ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING id`,
    [BATCH],
  )
  await db.pool.query(
    `DELETE FROM one_time_tokens WHERE digest = ANY(ARRAY(
       SELECT digest FROM one_time_tokens WHERE expires_at < now()
       ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))`,
    [BATCH],
  )
  return messages.rows.map(({ id }) => id)
}
