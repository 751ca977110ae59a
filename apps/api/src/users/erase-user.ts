import { noteErasure } from '@tidings/db/erased-users'
import { eraseUser as eraseFromDatabase } from '@tidings/db/user-erasure'
import { endAllAccess } from '@tidings/db/user-password'
import { findUser } from '@tidings/db/users'
import type { AccountDeps } from '../auth/grant.ts'
import { notFound } from '../http/read-query.ts'

/** Removes a user's traces from wherever this process knows they may be. */
export type EraseElsewhere = (user: { id: string; email: string }) => Promise<void>

/**
 * Erases a user for good. The traces outside the database go first, so that an erasure that was interrupted
 * can be asked for again: the user still exists.
 *
 * @throws AppError `not_found` when there is no such user, `unavailable` when a trace cannot be reached.
 */
export async function eraseUser(
  { db, caches, eraseElsewhere }: Pick<AccountDeps, 'db' | 'caches'> & { eraseElsewhere: EraseElsewhere },
  userId: string,
): Promise<void> {
  const user = await findUser(db, userId)
  if (user === undefined) throw notFound()
  // First of all: what dies from now on says nothing of the user, whatever becomes of this process.
  await noteErasure(db.pool, userId)
  await eraseElsewhere(user)
  const { endedSessionIds } = await endAllAccess(db, userId)
  await eraseFromDatabase(db, userId)
  await Promise.all([caches.sessions.invalidate(endedSessionIds), caches.users.invalidate([userId])])
}
