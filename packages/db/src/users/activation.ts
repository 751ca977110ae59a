import { TOKEN_PURPOSES } from '@tidings/shared/outbound-message'
import { eq } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { users } from '../schema/users.ts'
import { voidTokens } from './one-time-tokens.ts'
import { addNotice, greet } from './outbound-messages.ts'
import { endSessions } from './sessions.ts'

/**
 * Keeps a user from logging in. Ends every session, all tokens of the Django service and every link, and sends a notice.
 * Repeating it is harmless.
 *
 * @returns whether the user was active; undefined when the user does not exist.
 */
export async function deactivateUser(
  db: Database,
  userId: string,
): Promise<{ wasActive: boolean; endedSessionIds: string[] } | undefined> {
  return db.orm.transaction(async (tx) => {
    const handle = { orm: tx }
    const [user] = await tx.select().from(users).where(eq(users.id, userId)).for('no key update')
    if (user === undefined) return undefined
    const now = new Date()
    await tx
      .update(users)
      .set({ isActive: false, legacyTokensEndedAt: now, ...(user.isActive && { updatedAt: now }) })
      .where(eq(users.id, userId))
    const endedSessionIds = await endSessions(handle, userId)
    await voidTokens(handle, userId, TOKEN_PURPOSES)
    const notice = { kind: 'account_deactivated', userId, to: user.email } as const
    if (user.isActive) await addNotice(handle, { ...notice, variables: greet(user) })
    return { wasActive: user.isActive, endedSessionIds }
  })
}

/** Lets a user log in again. @returns whether the user was active; undefined when the user does not exist. */
export async function reactivateUser(
  db: Database,
  userId: string,
): Promise<{ wasActive: boolean } | undefined> {
  return db.orm.transaction(async (tx) => {
    const [user] = await tx.select().from(users).where(eq(users.id, userId)).for('no key update')
    if (user === undefined) return undefined
    if (!user.isActive)
      await tx.update(users).set({ isActive: true, updatedAt: new Date() }).where(eq(users.id, userId))
    return { wasActive: user.isActive }
  })
}
