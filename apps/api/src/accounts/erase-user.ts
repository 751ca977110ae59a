import { eraseUser as eraseFromDatabase } from '@tidings/db/users/erase-user'
import { recordErasure } from '@tidings/db/users/erased-users'
import { findUser } from '@tidings/db/users/users'
import { notFound } from '../http/read-query.ts'
import type { AccountDeps } from './account-deps.ts'

/** Removes a user from every store outside the database. */
export type EraseElsewhere = (user: { id: string; email: string }) => Promise<void>

/**
 * Erases a user for good. The database comes last, and the user's sessions with it: after an interrupted erasure
 * the same token can ask again.
 *
 * @throws AppError `not_found` when there is no such user, `unavailable` when a store cannot be reached.
 */
export async function eraseUser(
  { db, caches, eraseElsewhere }: Pick<AccountDeps, 'db' | 'caches'> & { eraseElsewhere: EraseElsewhere },
  userId: string,
): Promise<void> {
  const user = await findUser(db, userId)
  if (user === undefined) throw notFound()
  // First, so that the worker redacts later dead letters of this user, even if this process ends now.
  await recordErasure(db, userId)
  await eraseElsewhere(user)
  const erased = await eraseFromDatabase(db, userId)
  await Promise.all([
    caches.sessions.invalidate(erased?.endedSessionIds ?? []),
    caches.users.invalidate([userId]),
  ])
}
