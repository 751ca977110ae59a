import { maskText } from '@tidings/shared/mask'
import type { TokenPurpose } from '@tidings/shared/outbound-message'
import { eq } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { sqlState, UNIQUE_VIOLATION } from '../failure.ts'
import { users } from '../schema/users.ts'
import { voidTokens } from './one-time-tokens.ts'
import { addMessage, greet } from './outbound-messages.ts'
import { redeemToken } from './redeem-token.ts'
import { endSessions } from './sessions.ts'

/**
 * Asks the new address to confirm that it becomes the user's. An earlier request becomes void. The relay drops the
 * message if another user has the address.
 *
 * @returns undefined when the user does not exist.
 */
export async function requestEmailChange(
  db: Database,
  { userId, email, locale }: { userId: string; email: string; locale: string },
): Promise<'requested' | 'same_address' | undefined> {
  return db.orm.transaction(async (tx) => {
    const [user] = await tx
      .select({ email: users.email })
      .from(users)
      .where(eq(users.id, userId))
      .for('no key update')
    if (user === undefined) return undefined
    if (user.email.toLowerCase() === email.toLowerCase()) return 'same_address'
    await voidTokens({ orm: tx }, userId, ['email_change'])
    await addMessage({ orm: tx }, { kind: 'email_change', userId, to: email, locale })
    return 'requested'
  })
}

export type MoveResult =
  | { outcome: 'moved'; userId: string; endedSessionIds: string[] }
  | { outcome: 'invalid_token' }
  /** Another user has the address meanwhile. The token still works. */
  | { outcome: 'email_taken' }

/**
 * Gives a user the address that confirmed the change, and tells the earlier one how to undo it. The sessions stay;
 * links to the earlier address end, but for those that undo a change.
 *
 * Every change sends its message, however soon it follows another: each carries the only link that undoes this change.
 */
export async function confirmEmailChange(db: Database, token: string, locale: string): Promise<MoveResult> {
  return moveTo(db, 'email_change', token, async (handle, user) => {
    await voidTokens(handle, user.id, ['password_reset', 'email_verification'])
    const variables = { ...greet(user), new_email: maskText(user.newEmail) }
    await addMessage(handle, { kind: 'email_changed', userId: user.id, to: user.email, locale, variables })
    return []
  })
}

/**
 * Gives a user the earlier address back. Whoever changed it may have taken over the account: all sessions and all
 * tokens of the Django service end, and so do links that reset the password or change the address. The password stays,
 * because the owner resets it next.
 */
export async function undoEmailChange(db: Database, token: string): Promise<MoveResult> {
  return moveTo(db, 'email_undo', token, async (handle, { id }) => {
    await voidTokens(handle, id, ['password_reset', 'email_verification', 'email_change'])
    await handle.orm.update(users).set({ legacyTokensEndedAt: new Date() }).where(eq(users.id, id))
    return endSessions(handle, id)
  })
}

interface MovedUser {
  id: string
  /** The address so far. */
  email: string
  newEmail: string
  name: string
  emailVerifiedAt: Date | null
}

/** Uses a token up and gives its user the address of the token, which the token proves. */
async function moveTo(
  db: Database,
  purpose: TokenPurpose,
  token: string,
  then: (handle: Handle, user: MovedUser) => Promise<string[]>,
): Promise<MoveResult> {
  try {
    return await db.orm.transaction(async (tx) => {
      const holder = await redeemToken({ orm: tx }, purpose, token)
      if (holder === undefined) return { outcome: 'invalid_token' }
      const { user, email } = holder
      const now = new Date()
      await tx.update(users).set({ email, emailVerifiedAt: now, updatedAt: now }).where(eq(users.id, user.id))
      const endedSessionIds = await then({ orm: tx }, { ...user, newEmail: email })
      return { outcome: 'moved', userId: user.id, endedSessionIds }
    })
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION) return { outcome: 'email_taken' }
    throw error
  }
}
