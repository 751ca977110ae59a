import { eraseUser as eraseFromDatabase } from '@tidings/db/users/erase-user'
import { recordErasure } from '@tidings/db/users/erased-users'
import { findUser } from '@tidings/db/users/users'
import { notFound } from '../http/read-query.ts'
import type { Client } from '../sessions/client.ts'
import type { AccountDeps } from './account-deps.ts'

/** Removes a user from every store outside the database. */
export type EraseElsewhere = (user: { id: string; email: string }) => Promise<void>

/** Dependencies of erasing a user. */
interface EraseUserDeps extends Pick<AccountDeps, 'db' | 'caches' | 'rateLimits'> {
  eraseElsewhere: EraseElsewhere
}

/**
 * Makes the function that erases users. An erasure reads all dead letters, so calls for one user share the erasure that
 * is running, and an address may start a limited number of them.
 *
 * @returns a function that erases one user. It throws these AppErrors:
 *   - `not_found`: the user does not exist;
 *   - `unavailable`: a store does not answer;
 *   - `rate_limited`: the address started too many erasures.
 */
export function createUserEraser(deps: EraseUserDeps): (userId: string, client: Client) => Promise<void> {
  const running = new Map<string, Promise<void>>()

  async function start(userId: string, client: Client): Promise<void> {
    try {
      await deps.rateLimits.checkErasure(client.address)
      await eraseUser(deps, userId)
    } finally {
      running.delete(userId)
    }
  }

  return (userId, client) => {
    const erasure = running.get(userId) ?? start(userId, client)
    running.set(userId, erasure)
    return erasure
  }
}

/**
 * Erases a user for good. The database comes last, and the user's sessions with it: after an interrupted erasure
 * the same token can ask again.
 */
async function eraseUser({ db, caches, eraseElsewhere }: EraseUserDeps, userId: string): Promise<void> {
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
