import { eq, sql } from 'drizzle-orm'
import type { Database } from './database.ts'
import { sessions } from './schema/sessions.ts'
import { users } from './schema/users.ts'

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
    await scrubParkedEvents({ orm: tx }, user)
    const ended = await tx.select({ id: sessions.id }).from(sessions).where(eq(sessions.userId, userId))
    await tx.delete(users).where(eq(users.id, userId))
    return { endedSessionIds: ended.map((session) => session.id) }
  })
}

interface Executor {
  orm: Pick<Database['orm'], 'execute'>
}

/** Events that wait for the queue to come back, reported for the user or naming the address. Normally none. */
async function scrubParkedEvents(
  { orm }: Executor,
  { id, email }: { id: string; email: string },
): Promise<void> {
  await orm.execute(sql`
    UPDATE parked_events SET event = (event - 'user_id' - 'metadata')
      || CASE WHEN event ? 'error' THEN '{"error": "[erased]"}'::jsonb ELSE '{}'::jsonb END
    WHERE event ->> 'user_id' = ${id} OR strpos(lower(event::text), lower(${email})) > 0`)
}

async function scrubEvents(db: Executor, userId: string): Promise<number> {
  const result = await db.orm.execute(sql`
    UPDATE notification_status SET user_id = NULL, error = CASE WHEN error IS NULL THEN NULL ELSE '[erased]' END,
      metadata = NULL
    WHERE id IN (SELECT id FROM notification_status WHERE user_id = ${userId} LIMIT ${SCRUB_BATCH_ROWS})`)
  return result.rowCount ?? 0
}
