import type { Database } from '@tidings/db/database'
import { eraseUser as eraseFromDatabase } from '@tidings/db/users/erase-user'
import { recordErasure } from '@tidings/db/users/erased-users'
import { scrubEventsTo } from '@tidings/db/users/scrub-events'
import { findUser } from '@tidings/db/users/users'
import { digestRecipient } from '@tidings/shared/recipient'

/** Removes a user from every store outside the database. */
export type EraseElsewhere = (user: { id: string; email: string }) => Promise<void>

export interface ErasureDeps {
  db: Database
  eraseElsewhere: EraseElsewhere
  /** See digestRecipient. */
  recipientKey: string
}

/**
 * Erases a user for good. The database comes last, and the user's sessions with it: an interrupted erasure can be
 * started again. The caller then tells the caches.
 *
 * @returns undefined when there is no such user.
 */
export async function eraseUser(
  { db, eraseElsewhere, recipientKey }: ErasureDeps,
  userId: string,
): Promise<{ endedSessionIds: string[] } | undefined> {
  const user = await findUser(db, userId)
  if (user === undefined) return undefined
  // First, so that the worker redacts later dead letters of this user, even if this process ends now.
  await recordErasure(db, userId)
  await eraseElsewhere(user)
  const digests = [
    digestRecipient(recipientKey, 'email', user.email),
    ...user.devices.map(({ token }) => digestRecipient(recipientKey, 'push', token)),
  ]
  for (const digest of digests) await scrubEventsTo(db, digest)
  const erased = await eraseFromDatabase(db, userId)
  return { endedSessionIds: erased?.endedSessionIds ?? [] }
}
