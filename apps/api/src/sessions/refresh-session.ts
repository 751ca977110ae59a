import { rotateRefreshToken } from '@tidings/db/users/rotate-refresh-token'
import { isRefreshUnverified } from '@tidings/db/users/verify-email'
import { AppError } from '@tidings/shared/errors'
import type { Client } from './client.ts'
import { emailNotVerified } from './email-not-verified.ts'
import { type LoginResult, toLoginResult } from './login-result.ts'
import type { SessionDeps } from './session-deps.ts'

/**
 * Exchanges a refresh token for a new access token and refresh token. A repeat gets the same refresh token until that
 * one is exchanged. A later repeat ends the session, because two parties hold the token.
 *
 * @throws AppError `unauthorized` for an unknown token, one whose successor was exchanged, an ended session or a missing
 *   user; `email_not_verified`; `rate_limited` for too many refreshes from one address.
 */
export async function refreshSession(
  deps: SessionDeps,
  refreshToken: string,
  client: Client,
): Promise<LoginResult> {
  const { db, caches, tokens, rateLimits, refreshTtlSeconds } = deps
  await rateLimits.checkRefresh(client.address)
  // Before the exchange: the client keeps a token that works once the address is verified.
  if (deps.requireVerifiedEmail && (await isRefreshUnverified(db, refreshToken))) throw emailNotVerified()
  const rotated = await rotateRefreshToken(db, refreshToken, refreshTtlSeconds * 1000)
  if (rotated.outcome === 'reused') await caches.sessions.invalidate([rotated.sessionId])
  if (rotated.outcome !== 'rotated') throw refused()
  const found = await caches.users.get(rotated.userId)
  if (found === undefined) throw refused()
  return toLoginResult(tokens, found.user, { id: rotated.sessionId, refreshToken: rotated.refreshToken })
}

const refused = () => new AppError('unauthorized', 'The refresh token is not valid. Log in again.')
