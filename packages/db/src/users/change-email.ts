import { maskText } from '@tidings/shared/mask'
import { RESET_PURPOSES, type TokenPurpose } from '@tidings/shared/outbound-message'
import { eq } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { sqlState, UNIQUE_VIOLATION } from '../failure.ts'
import { users } from '../schema/users.ts'
import { isEnded } from './caller.ts'
import { voidTokens } from './one-time-tokens.ts'
import { addMessage, greet } from './outbound-messages.ts'
import { redeemToken } from './redeem-token.ts'
import { replaceSquatter } from './replace-unverified-user.ts'
import { endSessions } from './sessions.ts'

/** What proved, a moment ago, that the owner asks: a session that began just now, or the password with this hash. */
export type OwnerProof = { sessionId: string } | { passwordHash: string }

interface EmailChangeRequest {
  userId: string
  email: string
  locale: string
  proof: OwnerProof
}

/**
 * Asks the new address to confirm that it becomes the user's. An earlier request becomes void. The relay drops the
 * message if another user has the address.
 *
 * @returns `outdated` when the session ended or the password changed since: a request that waits for its turn must not
 *   outlive the reset that voids it. Undefined when the user does not exist.
 */
export async function requestEmailChange(
  db: Database,
  { userId, email, locale, proof }: EmailChangeRequest,
): Promise<'requested' | 'same_address' | 'outdated' | undefined> {
  return db.orm.transaction(async (tx) => {
    const [user] = await tx
      .select({ email: users.email, password: users.password })
      .from(users)
      .where(eq(users.id, userId))
      .for('no key update')
    if (user === undefined) return undefined
    const isOutdated =
      'sessionId' in proof ? await isEnded({ orm: tx }, proof) : proof.passwordHash !== user.password
    if (isOutdated) return 'outdated'
    if (user.email.toLowerCase() === email.toLowerCase()) return 'same_address'
    await voidTokens({ orm: tx }, userId, ['email_change'])
    await addMessage({ orm: tx }, { kind: 'email_change', userId, to: email, locale })
    return 'requested'
  })
}

export type MoveResult =
  /** `userIds`: the user, and the one who was erased for it. */
  | { outcome: 'moved'; userIds: string[]; endedSessionIds: string[] }
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
  return move(db, 'email_change', token, async (handle, user, email) => {
    const now = new Date()
    await handle.orm
      .update(users)
      .set({ email, emailVerifiedAt: now, updatedAt: now })
      .where(eq(users.id, user.id))
    await voidTokens(handle, user.id, [...RESET_PURPOSES, 'email_verification'])
    const variables = greet(user, { new_email: maskText(email) })
    await addMessage(handle, { kind: 'email_changed', userId: user.id, to: user.email, locale, variables })
    return { userIds: [user.id], endedSessionIds: [] }
  })
}

/**
 * Gives a user the earlier address back. Whoever changed it may have taken over the account: all sessions and all
 * tokens of the Django service end, and so do links that reset the password or change the address. The password stays,
 * because the owner resets it next. The address counts as not verified until then, so that the reset also takes the push
 * tokens from whoever set them: see resetPassword. An account that took the address and never proved it is erased.
 */
export async function undoEmailChange(db: Database, token: string): Promise<MoveResult> {
  return move(db, 'email_undo', token, async (handle, { id }, email) => {
    const replaced = await replaceSquatter(handle, id, email)
    const now = new Date()
    await handle.orm
      .update(users)
      .set({ email, emailVerifiedAt: null, updatedAt: now, legacyTokensEndedAt: now })
      .where(eq(users.id, id))
    await voidTokens(handle, id, [...RESET_PURPOSES, 'email_verification', 'email_change'])
    const ended = await endSessions(handle, id)
    return {
      userIds: replaced === undefined ? [id] : [id, replaced.userId],
      endedSessionIds: [...ended, ...(replaced?.endedSessionIds ?? [])],
    }
  })
}

type Moved = Pick<Extract<MoveResult, { outcome: 'moved' }>, 'userIds' | 'endedSessionIds'>

/**
 * Uses a token up.
 *
 * @param moveTo gives the locked user the address of the token, and returns the ids of the users and sessions that changed.
 */
async function move(
  db: Database,
  purpose: TokenPurpose,
  token: string,
  moveTo: (handle: Handle, user: typeof users.$inferSelect, email: string) => Promise<Moved>,
): Promise<MoveResult> {
  try {
    return await db.orm.transaction(async (tx) => {
      const holder = await redeemToken({ orm: tx }, [purpose], token)
      if (holder === undefined) return { outcome: 'invalid_token' }
      const { user, email } = holder
      return { outcome: 'moved', ...(await moveTo({ orm: tx }, user, email)) }
    })
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION) return { outcome: 'email_taken' }
    throw error
  }
}
