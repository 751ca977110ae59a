import type { Database } from '@tidings/db/database'
import { eraseUser as eraseFromDatabase } from '@tidings/db/users/erase-user'
import { recordErasure } from '@tidings/db/users/erased-users'
import { findUser } from '@tidings/db/users/users'

/** Removes a user from every store outside the database. */
export type EraseElsewhere = (user: { id: string; email: string }) => Promise<void>

/**
 * Erases a user for good. The database comes last, and the user's sessions with it: an interrupted erasure can be
 * started again. The caller then tells the caches.
 *
 * @returns undefined when there is no such user.
 */
export async function eraseUser(
  { db, eraseElsewhere }: { db: Database; eraseElsewhere: EraseElsewhere },
  userId: string,
): Promise<{ endedSessionIds: string[] } | undefined> {
  const user = await findUser(db, userId)
  if (user === undefined) return undefined
  // First, so that the worker redacts later dead letters of this user, even if this process ends now.
  await recordErasure(db, userId)
  await eraseElsewhere(user)
  const erased = await eraseFromDatabase(db, userId)
  return { endedSessionIds: erased?.endedSessionIds ?? [] }
}
