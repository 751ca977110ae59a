import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { users } from '../schema/users.ts'
import { eraseLockedUser } from './erase-user.ts'
import { recordErasure } from './erased-users.ts'

/**
 * Erases an account that never proved its address, for the owner of the address. Somebody may have registered it in
 * advance, to share the account with the owner later: nothing of it may go over to the owner. As with any erasure, its
 * events stay without the user. Safe to repeat.
 *
 * @returns false when the account proved its address meanwhile, has another one, or is gone.
 */
export async function replaceUnverifiedUser(
  db: Pick<Database, 'orm'>,
  userId: string,
  email: string,
): Promise<boolean> {
  return db.orm.transaction(async (tx) => {
    const hasAddress = eq(sql`lower(${users.email})`, sql`lower(${email})`)
    const [user] = await tx
      .select()
      .from(users)
      .where(and(eq(users.id, userId), isNull(users.emailVerifiedAt), hasAddress))
      .for('no key update')
    if (user === undefined) return false
    await recordErasure({ orm: tx }, userId)
    await eraseLockedUser({ orm: tx }, user)
    return true
  })
}
