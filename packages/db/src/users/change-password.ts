import { and, eq } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { users } from '../schema/users.ts'
import { endSessions } from './sessions.ts'

/**
 * Sets a new password and ends every session but `keepSessionId`, and all tokens of the Django service, in one
 * transaction. Only UPDATE_USERS sets a password elsewhere, by the same rule.
 *
 * @returns undefined when the password is no longer `hashes.from`: another request changed it first.
 */
export async function changePassword(
  db: Database,
  userId: string,
  hashes: { from: string; to: string },
  keepSessionId?: string,
): Promise<{ endedSessionIds: string[] } | undefined> {
  return db.orm.transaction(async (tx) => {
    const now = new Date()
    const changed = await tx
      .update(users)
      .set({ password: hashes.to, updatedAt: now, legacyTokensEndedAt: now })
      .where(and(eq(users.id, userId), eq(users.password, hashes.from)))
      .returning({ id: users.id })
    if (changed.length === 0) return undefined
    return { endedSessionIds: await endSessions({ orm: tx }, userId, keepSessionId) }
  })
}

/** Ends all sessions of a user, and all tokens that the Django service issued. */
export async function endAllAccess(db: Database, userId: string): Promise<{ endedSessionIds: string[] }> {
  return db.orm.transaction(async (tx) => {
    await endLegacyTokens({ orm: tx }, userId)
    return { endedSessionIds: await endSessions({ orm: tx }, userId) }
  })
}

/** Ends the tokens that the Django service issued to a user. They have no session. */
export async function endLegacyTokens(db: Handle, userId: string): Promise<void> {
  await db.orm.update(users).set({ legacyTokensEndedAt: new Date() }).where(eq(users.id, userId))
}
