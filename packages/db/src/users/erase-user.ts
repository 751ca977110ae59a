import { addressPattern, JSON_ESCAPE } from '@tidings/shared/email-mentions'
import { eq, type SQL, sql } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { redactAuditNotes } from '../operators/audit.ts'
import { sessions } from '../schema/sessions.ts'
import { users } from '../schema/users.ts'
import { findSuppressionNotes, removeSuppressionNotes } from '../suppressions/suppressions.ts'
import { scrubEvents } from './scrub-events.ts'

/**
 * Erases a user. The user's events stay, so that counts and timelines remain correct. They lose the user id, the error
 * text, the metadata and the digest of the recipient. Suppressions stay too: they name nobody. Safe to repeat after an
 * interruption.
 *
 * @returns the ids of the sessions that ended; undefined when the user does not exist.
 */
export async function eraseUser(
  db: Database,
  userId: string,
): Promise<{ endedSessionIds: string[] } | undefined> {
  await scrubEvents(db, userId)
  return db.orm.transaction(async (tx) => {
    const [user] = await tx.select().from(users).where(eq(users.id, userId)).for('no key update')
    if (user !== undefined) return eraseLockedUser({ orm: tx }, user)
    await scrubEvents({ orm: tx }, userId)
    return undefined
  })
}

/**
 * Erases a user whose row the transaction has locked, for no key update.
 *
 * The order of the locks prevents deadlocks. A relay locks a message, and then only keeps the user from being deleted: so
 * the messages come before the full lock. Whoever changes a user locks the row first, and messages then: so the row comes
 * before the messages. Whoever stores an event locks its user first, and suppressions then: so the full lock comes before
 * the suppressions.
 *
 * @returns the ids of the sessions that ended.
 */
export async function eraseLockedUser(
  db: Handle,
  user: { id: string; email: string },
): Promise<{ endedSessionIds: string[] }> {
  await deleteMessages(db, user.id)
  // Before the full lock: it reads all notes, and writers of the user's events wait for the lock.
  const notes = await findSuppressionNotes(db, mentionsAddress(sql`to_jsonb(note)`, user.email))
  await redactAuditNotes(db, mentionsAddress(sql`selector -> 'note'`, user.email))
  // Keeps out new events and sessions of the user until the row is deleted.
  await db.orm.select({ id: users.id }).from(users).where(eq(users.id, user.id)).for('update')
  await scrubEvents(db, user.id)
  await scrubOutbox(db, user)
  await removeSuppressionNotes(db, notes)
  const ended = await db.orm.select({ id: sessions.id }).from(sessions).where(eq(sessions.userId, user.id))
  await db.orm.delete(users).where(eq(users.id, user.id))
  return { endedSessionIds: ended.map((session) => session.id) }
}

/** Deletes the messages to a user, also requests for a reset that no relay has looked up yet. */
async function deleteMessages({ orm }: Handle, userId: string): Promise<void> {
  await orm.execute(sql`
    DELETE FROM outbound_messages WHERE user_id = ${userId} OR (user_id IS NULL
      AND lower("to") = (SELECT lower(email) FROM users WHERE id = ${userId}))`)
}

/**
 * Redacts events in the outbox. Events of the user, events without a user that mention the address, and unreadable ones
 * that mention the user, are redacted as a whole. Other users' events lose only the texts that mention the address. The outbox is normally empty.
 */
async function scrubOutbox({ orm }: Handle, { id, email }: { id: string; email: string }): Promise<void> {
  const mentions = (json: SQL) => mentionsAddress(json, email)
  const [error, metadata] = [sql`event -> 'error'`, sql`event -> 'metadata'`]
  await orm.execute(sql`
    UPDATE event_outbox SET event = (event - 'user_id' - 'metadata' - 'recipient_digest' - 'payload')
      || CASE WHEN event ? 'error' THEN ${ERASED_ERROR} ELSE '{}'::jsonb END
    WHERE event ->> 'user_id' = ${id} OR (NOT event ? 'user_id' AND ${mentions(sql`event`)})
      OR (event ? 'unreadable' AND strpos(lower(event::text), ${id}) > 0)`)
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
