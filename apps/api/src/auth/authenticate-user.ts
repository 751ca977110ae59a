import { withDeadline } from '@tidings/runtime/deadline'
import { AppError } from '@tidings/shared/errors'
import type { Caches, SessionOwner } from '../cache/caches.ts'
import { andThen, type MaybePromise } from '../http/and-then.ts'
import type { Authenticate, UserPrincipal } from '../http/principal.ts'
import type { AccessClaims, AccessTokens } from './access-tokens.ts'
import { CLOCK_LEEWAY_SECONDS } from './clock-leeway.ts'

interface AuthenticateUserDeps {
  tokens: AccessTokens
  caches: Caches
}

/**
 * Authenticates an access token. A valid signature is not enough: the session must still be live, so that a
 * logout or a password change ends the token at once. With both in memory the answer needs no await.
 */
export function createUserAuthenticator({
  tokens,
  caches,
}: AuthenticateUserDeps): Authenticate<UserPrincipal> {
  function checkSession({ userId }: AccessClaims, sessionId: string): MaybePromise<UserPrincipal> {
    return andThen(inTime(caches.sessions.get(sessionId)), (owner: SessionOwner | undefined) => {
      if (owner?.userId !== userId) throw refused()
      return { kind: 'user', userId, sessionId }
    })
  }

  async function checkLegacyToken({ userId, issuedAt }: AccessClaims): Promise<UserPrincipal> {
    const user = await inTime(caches.users.get(userId))
    if (!user?.isActive || isEnded(issuedAt, user.legacyTokensEndedAtMs)) throw refused()
    return { kind: 'user', userId, sessionId: null }
  }

  return (token) =>
    andThen(tokens.verify(token), (claims) =>
      claims.sessionId === null ? checkLegacyToken(claims) : checkSession(claims, claims.sessionId),
    )
}

/**
 * Tells whether a legacy token was issued before a logout. The issuer's clock may be ahead by the leeway: its token would
 * outlive the logout. So a token that is issued this soon after one is refused as well.
 *
 * @param issuedAt in seconds since the epoch.
 */
const isEnded = (issuedAt: number, endedAtMs: number | null) =>
  endedAtMs !== null && (issuedAt - CLOCK_LEEWAY_SECONDS) * 1000 <= endedAtMs

/** How long a request waits for PostgreSQL, in milliseconds. Also a status post with a user's token answers in time. */
const LOOK_UP_WITHIN_MS = 800

const inTime = <Value>(value: MaybePromise<Value>): MaybePromise<Value> =>
  value instanceof Promise ? withDeadline(value, LOOK_UP_WITHIN_MS, cannotCheck) : value

const cannotCheck = () =>
  new AppError('unavailable', 'The access token cannot be checked right now. Try again shortly.')

const refused = () => new AppError('unauthorized', 'The access token is not valid.')
