import { rotateRefreshToken } from '@tidings/db/users/sessions'
import { AppError } from '@tidings/shared/errors'
import type { AccountDeps, Client, LoginResult } from './session-grant.ts'

/**
 * Exchanges a refresh token for a new pair. A repeat within ten seconds gets the same refresh token; a later
 * one ends the session, since then two hold what only one was given.
 *
 * @throws AppError `unauthorized` when the token is unknown, used, or its session is over.
 */
export async function refreshSession(
  deps: AccountDeps,
  refreshToken: string,
  client: Client,
): Promise<LoginResult> {
  await deps.limits.checkRefresh(client.address)
  const rotated = await rotateRefreshToken(deps.db, refreshToken, deps.refreshTtlSeconds * 1000)
  if (rotated.outcome === 'reused') await deps.caches.sessions.invalidate([rotated.sessionId])
  if (rotated.outcome !== 'rotated') throw refused()
  const record = await deps.caches.users.get(rotated.userId)
  if (record === undefined) throw refused()
  const { token, expiresInSeconds } = await deps.tokens.issue(rotated.userId, rotated.sessionId)
  return {
    user: record.user,
    token,
    refresh_token: rotated.refreshToken,
    expires_in: expiresInSeconds,
  }
}

const refused = () => new AppError('unauthorized', 'The refresh token is not valid. Log in again.')
