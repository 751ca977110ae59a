import { endAllAccess, endLegacyTokens } from '@tidings/db/users/change-password'
import { endSession } from '@tidings/db/users/sessions'
import type { UserPrincipal } from '../http/principal.ts'
import type { AccountDeps } from './session-grant.ts'

type Deps = Pick<AccountDeps, 'db' | 'caches'>

/** Ends the session of the token that was shown; a token without one ends all of its kind. */
export async function logOut({ db, caches }: Deps, { userId, sessionId }: UserPrincipal): Promise<void> {
  if (sessionId === null) {
    await endLegacyTokens(db, userId)
    await caches.users.invalidate([userId])
    return
  }
  await endSession(db, userId, sessionId)
  await caches.sessions.invalidate([sessionId])
}

/** Ends every session of a user, everywhere. Gives how many there were. */
export async function logOutEverywhere({ db, caches }: Deps, userId: string): Promise<number> {
  const { endedSessionIds } = await endAllAccess(db, userId)
  await Promise.all([caches.sessions.invalidate(endedSessionIds), caches.users.invalidate([userId])])
  return endedSessionIds.length
}
