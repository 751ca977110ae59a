import { eq } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { devices } from '../schema/devices.ts'
import { users } from '../schema/users.ts'
import { setPassword } from './change-password.ts'
import { redeemOwnToken } from './redeem-token.ts'

/**
 * Sets a password with a token from a reset mail, which also proves the address. See setPassword for what ends.
 *
 * A user whose address nobody had proved loses their push tokens too: somebody else may have registered the address.
 *
 * @param hash encoded.
 * @returns undefined when the token does not work.
 */
export async function resetPassword(
  db: Database,
  { token, hash, locale }: { token: string; hash: string; locale: string },
): Promise<{ userId: string; endedSessionIds: string[] } | undefined> {
  return db.orm.transaction(async (tx) => {
    const handle = { orm: tx }
    const user = await redeemOwnToken(handle, 'password_reset', token)
    if (user === undefined) return undefined
    const userId = user.id
    if (user.emailVerifiedAt === null) await adopt(handle, userId)
    const changed = await setPassword(handle, { userId, hash, locale })
    return changed && { userId, ...changed }
  })
}

/** Hands an account to the owner of its address, who proved it first. */
async function adopt(db: Handle, userId: string): Promise<void> {
  await db.orm.delete(devices).where(eq(devices.userId, userId))
  await db.orm.update(users).set({ emailVerifiedAt: new Date() }).where(eq(users.id, userId))
}
