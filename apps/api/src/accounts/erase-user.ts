import { eraseUser as eraseFromDatabase } from '@tidings/db/users/erase-user'
import { recordErasure } from '@tidings/db/users/erased-users'
import { findUser } from '@tidings/db/users/users'
import { notFound } from '../http/read-query.ts'
import type { AccountDeps } from '../sessions/session-grant.ts'

/** Removes a user's traces from wherever this process knows they may be. */
export type EraseElsewhere = (user: { id: string; email: string }) => Promise<void>

/**
 * Erases a user for good. The traces outside the database go first, and the sessions with the user: an erasure
 * that was interrupted can be asked for again with the same token.
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
  await recordErasure(db, userId)
  await eraseElsewhere(user)
  const erased = await eraseFromDatabase(db, userId)
  await Promise.all([
    caches.sessions.invalidate(erased?.endedSessionIds ?? []),
    caches.users.invalidate([userId]),
  ])
}
