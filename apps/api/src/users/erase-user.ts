import { eraseUser as eraseFromDatabase } from '@tidings/db/user-erasure'
import { endAllAccess } from '@tidings/db/user-password'
import type { AccountDeps } from '../auth/grant.ts'
import { notFound } from '../http/read-query.ts'

/** Removes a user's traces from wherever this process knows they may be. */
export type EraseElsewhere = (userId: string) => Promise<void>

/**
 * Erases a user for good. Access ends first; then the traces outside the database go, so that an
 * interrupted erasure can be asked for again while the user still exists.
 *
 * @throws AppError `not_found` when there is no such user.
 */
export async function eraseUser(
  { db, caches, eraseElsewhere }: Pick<AccountDeps, 'db' | 'caches'> & { eraseElsewhere: EraseElsewhere },
  userId: string,
): Promise<void> {
  const { endedSessionIds } = await endAllAccess(db, userId)
  await eraseElsewhere(userId)
  const existed = await eraseFromDatabase(db, userId)
  await Promise.all([caches.sessions.invalidate(endedSessionIds), caches.users.invalidate([userId])])
  if (!existed) throw notFound()
}
