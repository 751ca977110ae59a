import { endAllAccess, endLegacyTokens } from '@tidings/db/users/change-password'
import { endSession } from '@tidings/db/users/sessions'
import type { UserPrincipal } from '../http/principal.ts'
import { notFound } from '../http/read-query.ts'
import type { SessionDeps } from './session-deps.ts'

type Deps = Pick<SessionDeps, 'db' | 'caches'>

/**
 * Ends the session of the caller's token. A token of the Django service has no session, so logging out with one ends
 * all of the user's Django tokens.
 */
export async function logOut({ db, caches }: Deps, { userId, sessionId }: UserPrincipal): Promise<void> {
  if (sessionId === null) {
    await endLegacyTokens(db, userId)
    await caches.users.invalidate([userId])
    return
  }
  await endSession(db, userId, sessionId)
  await caches.sessions.invalidate([sessionId])
}

/**
 * Ends one of a user's sessions, such as that of a lost phone.
 *
 * @throws AppError `not_found` when the user has no such live session.
 */
export async function endOwnSession({ db, caches }: Deps, userId: string, sessionId: string): Promise<void> {
  if (!(await endSession(db, userId, sessionId))) throw notFound()
  await caches.sessions.invalidate([sessionId])
}

/** Ends every session and every Django token of a user. Returns the number of sessions. */
export async function logOutEverywhere({ db, caches }: Deps, userId: string): Promise<number> {
  const { endedSessionIds } = await endAllAccess(db, userId)
  await Promise.all([caches.sessions.invalidate(endedSessionIds), caches.users.invalidate([userId])])
  return endedSessionIds.length
}
