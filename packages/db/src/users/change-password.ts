import { and, eq } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { users } from '../schema/users.ts'
import { PASSWORD_CHANGE_VOIDS, voidTokens } from './one-time-tokens.ts'
import { addNotice, greet } from './outbound-messages.ts'
import { endSessions } from './sessions.ts'

export interface PasswordWrite {
  userId: string
  /** Encoded. */
  hash: string
  keepSessionId?: string | undefined
  locale?: string | undefined
}

/**
 * Sets a new password if it still is `from`. See setPassword.
 *
 * @returns undefined when another request changed the password first.
 */
export async function changePassword(
  db: Database,
  { from, ...write }: PasswordWrite & { from: string },
): Promise<{ endedSessionIds: string[] } | undefined> {
  return db.orm.transaction(async (tx) => {
    const [unchanged] = await tx
      .select({ id: users.id })
      .from(users)
      .where(and(eq(users.id, write.userId), eq(users.password, from)))
      // Not 'update': that would make a relay that is adding a token of the user wait, and it holds the message.
      .for('no key update')
    return unchanged && setPassword({ orm: tx }, write)
  })
}

/**
 * Sets a password, in a transaction. It ends every session but `keepSessionId` and all tokens of the Django service. It
 * voids links that reset the password or change the address, and sends a notice. A link that undoes a change of the
 * address stays: whoever took over an account would otherwise void it. Only UPDATE_USERS sets a password elsewhere.
 *
 * @returns undefined when the user does not exist.
 */
export async function setPassword(
  db: Handle,
  { userId, hash, keepSessionId, locale }: PasswordWrite,
): Promise<{ endedSessionIds: string[] } | undefined> {
  const now = new Date()
  const [user] = await db.orm
    .update(users)
    .set({ password: hash, updatedAt: now, legacyTokensEndedAt: now })
    .where(eq(users.id, userId))
    .returning({ email: users.email, name: users.name, emailVerifiedAt: users.emailVerifiedAt })
  if (user === undefined) return undefined
  const endedSessionIds = await endSessions(db, userId, keepSessionId)
  await voidTokens(db, userId, PASSWORD_CHANGE_VOIDS)
  const variables = greet(user)
  await addNotice(db, { kind: 'password_changed', userId, to: user.email, locale, variables })
  return { endedSessionIds }
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
