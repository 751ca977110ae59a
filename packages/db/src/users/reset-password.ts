import { RESET_PURPOSES } from '@tidings/shared/outbound-message'
import { eq } from 'drizzle-orm'
import type { Database, Handle } from '../database.ts'
import { devices } from '../schema/devices.ts'
import { users } from '../schema/users.ts'
import { setPassword } from './change-password.ts'
import { redeemOwnToken } from './redeem-token.ts'

/**
 * Sets a password with the token of a reset link. One from a mail also proves the address. See setPassword for what ends.
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
    const holder = await redeemOwnToken(handle, RESET_PURPOSES, token)
    if (holder === undefined) return undefined
    const { user, purpose } = holder
    const userId = user.id
    if (user.emailVerifiedAt === null) await adopt(handle, userId, purpose === 'password_reset')
    const changed = await setPassword(handle, { userId, hash, locale })
    return changed && { userId, ...changed }
  })
}

/** Hands an account to its owner. @param isProved the owner also proved the address. */
async function adopt(db: Handle, userId: string, isProved: boolean): Promise<void> {
  await db.orm.delete(devices).where(eq(devices.userId, userId))
  if (isProved) await db.orm.update(users).set({ emailVerifiedAt: new Date() }).where(eq(users.id, userId))
}
