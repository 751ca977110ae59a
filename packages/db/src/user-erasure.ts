import { eq, sql } from 'drizzle-orm'
import type { Database } from './database.ts'
import { users } from './schema/users.ts'

/** Rows cleared by one statement: short enough that nobody waits for the locks. */
const SCRUB_BATCH_ROWS = 5_000

/**
 * Erases a user. The events that were reported for the user stay, so that counts and timelines hold, but
 * lose the owner, the error's text and the metadata. Safe to repeat after an interruption. False when there
 * is no such user.
 */
export async function eraseUser(db: Database, userId: string): Promise<boolean> {
  while ((await scrubEvents(db, userId)) === SCRUB_BATCH_ROWS) {
    // More rows than one statement clears.
  }
  const erased = await db.orm.transaction(async (tx) => {
    // The row lock keeps new events of the user out until the row is gone.
    const [user] = await tx.select().from(users).where(eq(users.id, userId)).for('update')
    await scrubEvents({ orm: tx }, userId)
    if (user !== undefined) await scrubParkedEvents({ orm: tx }, user)
    return tx.delete(users).where(eq(users.id, userId)).returning({ id: users.id })
  })
  return erased.length > 0
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
