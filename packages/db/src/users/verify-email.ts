import { hashSecret } from '@tidings/shared/service-key'
import { and, eq, gt, isNull, sql } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { refreshTokens, sessions } from '../schema/sessions.ts'
import { users } from '../schema/users.ts'
import { addMessage, hasRecentMessage } from './outbound-messages.ts'
import { redeemOwnToken } from './redeem-token.ts'

/** Sends the message that verifies a user's address, unless it is verified or one was sent within the last minute. */
export async function requestVerification(db: Database, userId: string, locale: string): Promise<void> {
  await db.orm.transaction(async (tx) => {
    const [user] = await tx
      .select({ email: users.email })
      .from(users)
      .where(and(eq(users.id, userId), isNull(users.emailVerifiedAt)))
      .for('no key update')
    if (user === undefined) return
    const handle = { orm: tx }
    if (await hasRecentMessage(handle, userId, 'email_verification', '1 minute')) return
    await addMessage(handle, { kind: 'email_verification', userId, to: user.email, locale })
  })
}

/** Records that a user receives mail at their address. @returns undefined when the token does not work. */
export async function verifyEmail(db: Database, token: string): Promise<{ userId: string } | undefined> {
  return db.orm.transaction(async (tx) => {
    const holder = await redeemOwnToken({ orm: tx }, ['email_verification'], token)
    if (holder === undefined) return undefined
    const { user } = holder
    const now = new Date()
    await tx
      .update(users)
      .set({ emailVerifiedAt: user.emailVerifiedAt ?? now, updatedAt: now })
      .where(eq(users.id, user.id))
    return { userId: user.id }
  })
}

/** Tells whether a refresh token is of a live session whose user has not verified the address. */
export async function isRefreshUnverified(db: Database, refreshToken: string): Promise<boolean> {
  const found = await db.orm
    .select({ id: users.id })
    .from(refreshTokens)
    .innerJoin(sessions, eq(sessions.id, refreshTokens.sessionId))
    .innerJoin(users, eq(users.id, sessions.userId))
    .where(
      and(
        eq(refreshTokens.tokenHash, hashSecret(refreshToken)),
        isNull(sessions.revokedAt),
        gt(sessions.expiresAt, sql`now()`),
        isNull(users.emailVerifiedAt),
      ),
    )
  return found.length > 0
}
