import { addressPattern, JSON_ESCAPE } from '@tidings/shared/email-mentions'
import { eq, type SQL, sql } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { sessions } from '../schema/sessions.ts'
import { users } from '../schema/users.ts'

/** Rows cleared by one statement, more only where events share a time. It bounds how long others wait for locks. */
const SCRUB_BATCH_ROWS = 5_000

/**
 * Erases a user. The user's events stay, so that counts and timelines remain correct. They lose the user id, the error
 * text and the metadata. Safe to repeat after an interruption.
 *
 * @returns the ids of the sessions that ended; undefined when the user does not exist.
 */
export async function eraseUser(
  db: Database,
  userId: string,
): Promise<{ endedSessionIds: string[] } | undefined> {
  while ((await scrubEvents(db, userId)) >= SCRUB_BATCH_ROWS) {
    // There may be more rows than one statement clears.
  }
  return db.orm.transaction(async (tx) => {
    // The row lock keeps out new events and sessions of the user until the row is deleted.
    const [user] = await tx.select().from(users).where(eq(users.id, userId)).for('update')
    await scrubEvents({ orm: tx }, userId)
    if (user === undefined) return undefined
    await scrubOutbox({ orm: tx }, user)
    const ended = await tx.select({ id: sessions.id }).from(sessions).where(eq(sessions.userId, userId))
    await tx.delete(users).where(eq(users.id, userId))
    return { endedSessionIds: ended.map((session) => session.id) }
  })
}

/**
 * Redacts events in the outbox. Events of the user, and events without a user that mention the address, are redacted as
 * a whole. Other users' events lose only the texts that mention the address. The outbox is normally empty.
 */
async function scrubOutbox({ orm }: Handle, { id, email }: { id: string; email: string }): Promise<void> {
  const mentions = (json: SQL) => mentionsAddress(json, email)
  const [error, metadata] = [sql`event -> 'error'`, sql`event -> 'metadata'`]
  await orm.execute(sql`
    UPDATE event_outbox SET event = (event - 'user_id' - 'metadata')
      || CASE WHEN event ? 'error' THEN ${ERASED_ERROR} ELSE '{}'::jsonb END
    WHERE event ->> 'user_id' = ${id} OR (NOT event ? 'user_id' AND ${mentions(sql`event`)})`)
  await orm.execute(sql`
    UPDATE event_outbox SET event = CASE WHEN ${mentions(metadata)} THEN event - 'metadata' ELSE event END
      || CASE WHEN ${mentions(error)} THEN ${ERASED_ERROR} ELSE '{}'::jsonb END
    WHERE event ? 'user_id' AND (${mentions(error)} OR ${mentions(metadata)})`)
}

const ERASED_ERROR = sql`'{"error": "[erased]"}'::jsonb`

/** The rule of createAddressFinder as SQL. `json` is an expression of type jsonb. */
const mentionsAddress = (json: SQL, email: string) =>
  sql`(strpos(lower((${json})::text), lower(${email})) > 0
    AND regexp_replace(lower((${json})::text), ${JSON_ESCAPE}, ' ', 'g') ~ ${addressPattern(email)})`

async function scrubEvents(db: Handle, userId: string): Promise<number> {
  const result = await db.orm.execute(sql`
    UPDATE notification_status SET user_id = NULL, error = CASE WHEN error IS NULL THEN NULL ELSE '[erased]' END,
      metadata = NULL
    WHERE user_id = ${userId} AND "timestamp" <= coalesce((
      SELECT "timestamp" FROM notification_status WHERE user_id = ${userId}
      ORDER BY "timestamp" OFFSET ${SCRUB_BATCH_ROWS - 1} LIMIT 1), 'infinity')`)
  return result.rowCount ?? 0
}
