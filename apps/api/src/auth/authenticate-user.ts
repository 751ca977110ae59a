import { AppError } from '@tidings/shared/errors'
import type { Caches } from '../compose/open-caches.ts'
import type { Authenticate, UserPrincipal } from '../http/principal.ts'
import type { AccessClaims, AccessTokens } from './access-tokens.ts'

export interface AuthenticateUserDeps {
  tokens: AccessTokens
  caches: Caches
}

/**
 * Authenticates an access token. Its signature alone is not enough: the session must still be there, so a
 * logout or a changed password ends it at once. Mostly this takes no await at all.
 */
export function createUserAuthenticator({
  tokens,
  caches,
}: AuthenticateUserDeps): Authenticate<UserPrincipal> {
  function withSession(claims: AccessClaims, sessionId: string): UserPrincipal | Promise<UserPrincipal> {
    const judge = (owner: { userId: string } | undefined): UserPrincipal => {
      if (owner?.userId !== claims.userId) throw refused()
      return { kind: 'user', userId: claims.userId, sessionId }
    }
    const owner = caches.sessions.get(sessionId)
    return owner instanceof Promise ? owner.then(judge) : judge(owner)
  }

  async function withoutSession(claims: AccessClaims): Promise<UserPrincipal> {
    const record = await caches.users.get(claims.userId)
    const endedAtMs = record?.legacyTokensEndedAtMs ?? 0
    if (!record?.isActive || claims.issuedAt * 1000 < endedAtMs) throw refused()
    return { kind: 'user', userId: claims.userId, sessionId: null }
  }

  const judge = (claims: AccessClaims) =>
    claims.sessionId === null ? withoutSession(claims) : withSession(claims, claims.sessionId)

  return (token) => {
    const claims = tokens.verify(token)
    return claims instanceof Promise ? claims.then(judge) : judge(claims)
  }
}

const refused = () => new AppError('unauthorized', 'The access token is not valid.')
