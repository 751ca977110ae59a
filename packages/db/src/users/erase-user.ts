import { addressPattern, JSON_ESCAPE } from '@tidings/shared/email-mentions'
import { eq, type SQL, sql } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { sessions } from '../schema/sessions.ts'
import { users } from '../schema/users.ts'

/** Rows cleared by one statement: short enough that nobody waits for the locks. */
const SCRUB_BATCH_ROWS = 5_000

/**
 * Erases a user. The events that were reported for the user stay, so that counts and timelines hold, but
 * lose the owner, the error's text and the metadata. Safe to repeat after an interruption. Undefined when
 * there is no such user; else the sessions that went too.
 */
export async function eraseUser(
  db: Database,
  userId: string,
): Promise<{ endedSessionIds: string[] } | undefined> {
  while ((await scrubEvents(db, userId)) === SCRUB_BATCH_ROWS) {
    // More rows than one statement clears.
  }
  return db.orm.transaction(async (tx) => {
    // The row lock keeps new events and sessions of the user out until the row is gone.
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
 * Events that wait for the queue to come back. What was reported for the user, or for nobody and names the address,
 * is cleared; what another owns stays theirs, and loses only what names the address. Normally none.
 */
async function scrubOutbox({ orm }: Handle, { id, email }: { id: string; email: string }): Promise<void> {
  const names = (json: SQL) => namesAddress(json, email)
  const [error, metadata] = [sql`event -> 'error'`, sql`event -> 'metadata'`]
  await orm.execute(sql`
    UPDATE event_outbox SET event = (event - 'user_id' - 'metadata')
      || CASE WHEN event ? 'error' THEN ${ERASED_ERROR} ELSE '{}'::jsonb END
    WHERE event ->> 'user_id' = ${id} OR (NOT event ? 'user_id' AND ${names(sql`event`)})`)
  await orm.execute(sql`
    UPDATE event_outbox SET event = CASE WHEN ${names(metadata)} THEN event - 'metadata' ELSE event END
      || CASE WHEN ${names(error)} THEN ${ERASED_ERROR} ELSE '{}'::jsonb END
    WHERE event ? 'user_id' AND (${names(error)} OR ${names(metadata)})`)
}

const ERASED_ERROR = sql`'{"error": "[erased]"}'::jsonb`

/** The rule of createAddressFinder, for an expression of type jsonb. */
const namesAddress = (json: SQL, email: string) =>
  sql`(strpos(lower((${json})::text), lower(${email})) > 0
    AND regexp_replace(lower((${json})::text), ${JSON_ESCAPE}, ' ', 'g') ~ ${addressPattern(email)})`

async function scrubEvents(db: Handle, userId: string): Promise<number> {
  const result = await db.orm.execute(sql`
    UPDATE notification_status SET user_id = NULL, error = CASE WHEN error IS NULL THEN NULL ELSE '[erased]' END,
      metadata = NULL
    WHERE id IN (SELECT id FROM notification_status WHERE user_id = ${userId} LIMIT ${SCRUB_BATCH_ROWS})`)
  return result.rowCount ?? 0
}
