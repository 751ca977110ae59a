import { type SQL, sql } from 'drizzle-orm'
import type { Handle } from '../database.ts'

/** Rows cleared by one statement, more only where events share a time. It bounds how long others wait for locks. */
const SCRUB_BATCH_ROWS = 5_000

/** What the events of an erased user keep says nothing about a person. */
const CLEAR = sql`error = CASE WHEN error IS NULL THEN NULL ELSE '[erased]' END, metadata = NULL, recipient_digest = NULL`

/**
 * Clears the events of the user, and those of the same notifications that name no user: a provider's reports seldom do.
 */
export const scrubEvents = (db: Handle, userId: string): Promise<void> =>
  inBatches(
    db,
    sql`user_id = ${userId}`,
    (isInBatch) => sql`
      WITH own AS (
        UPDATE notification_status SET user_id = NULL, ${CLEAR} WHERE ${isInBatch}
        RETURNING notification_id, notification_type
      ), unowned AS (
        UPDATE notification_status s SET ${CLEAR}
        FROM (SELECT DISTINCT notification_id, notification_type FROM own) AS o
        WHERE s.notification_id = o.notification_id AND s.notification_type = o.notification_type
          AND s.user_id IS NULL
      )
      SELECT count(*)::int AS cleared FROM own`,
  )

/** Clears the events that name no user and went to this address or token. */
export const scrubEventsTo = (db: Handle, digest: string): Promise<void> =>
  inBatches(
    db,
    sql`user_id IS NULL AND recipient_digest = ${Buffer.from(digest, 'hex')}`,
    (isInBatch) => sql`
      WITH unowned AS (UPDATE notification_status SET ${CLEAR} WHERE ${isInBatch} RETURNING 1)
      SELECT count(*)::int AS cleared FROM unowned`,
  )

/** @param clear makes a statement that clears the events of a batch, so that `condition` no longer holds for them. */
async function inBatches(
  { orm }: Handle,
  condition: SQL,
  clear: (isInBatch: SQL) => SQL<{ cleared: number }>,
): Promise<void> {
  const isInBatch = sql`${condition} AND "timestamp" <= coalesce((
    SELECT "timestamp" FROM notification_status WHERE ${condition}
    ORDER BY "timestamp" OFFSET ${SCRUB_BATCH_ROWS - 1} LIMIT 1), 'infinity')`
  for (;;) {
    const { rows } = await orm.execute<{ cleared: number }>(clear(isInBatch))
    // With events of one time it may be more.
    if ((rows[0]?.cleared ?? 0) < SCRUB_BATCH_ROWS) return
  }
}
