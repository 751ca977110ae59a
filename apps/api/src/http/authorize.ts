import { AppError } from '@tidings/shared/errors'
import { type Scope, SERVICE_KEY_PREFIX } from '@tidings/shared/service-key'
import { andThen, type MaybePromise } from './and-then.ts'
import type { ApiContext } from './context.ts'
import type { Authenticate, Principal, ServicePrincipal, UserPrincipal } from './principal.ts'

/**
 * Who may go on. Each throws AppError `unauthorized` without a valid credential and `forbidden` when it is
 * valid but not enough. A route calls one of these before it reads the body.
 */
export interface Authorize {
  /** A service key that holds `scope`. */
  service(c: ApiContext, scope: Scope): MaybePromise<ServicePrincipal>
  /** A person. */
  user(c: ApiContext): MaybePromise<UserPrincipal>
  /** A person, or a service key that holds `scope`. What a person may see is the route's to decide. */
  userOrService(c: ApiContext, scope: Scope): MaybePromise<Principal>
}

export interface Authenticators {
  authenticateService: Authenticate<ServicePrincipal>
  authenticateUser: Authenticate<UserPrincipal>
}

export function createAuthorize({ authenticateService, authenticateUser }: Authenticators): Authorize {
  return {
    service(c, scope) {
      const token = bearerToken(c)
      // Whether it is a good token decides between 401 and 403.
      if (!token.startsWith(SERVICE_KEY_PREFIX))
        return andThen(authenticateUser(token), () => {
          throw needsScope(scope)
        })
      return andThen(authenticateService(token), (service) => requireScope(service, scope))
    },

    user(c) {
      const token = bearerToken(c)
      return token.startsWith(SERVICE_KEY_PREFIX)
        ? andThen(authenticateService(token), refuse)
        : authenticateUser(token)
    },

    userOrService(c, scope) {
      const token = bearerToken(c)
      return token.startsWith(SERVICE_KEY_PREFIX)
        ? andThen(authenticateService(token), (service) => requireScope(service, scope))
        : authenticateUser(token)
    },
  }
}

/** @throws AppError `forbidden` when the key lacks the scope. */
export function requireScope(principal: ServicePrincipal, scope: Scope): ServicePrincipal {
  if (principal.scopes.has(scope)) return principal
  throw needsScope(scope)
}

const needsScope = (scope: Scope) =>
  new AppError('forbidden', `This needs a service key with the scope ${scope}.`)

function refuse(): never {
  throw new AppError('forbidden', 'This credential is not meant for this resource.')
}

const BEARER = /^Bearer +([\w\-.~+/]+=*)$/i
const MAX_TOKEN_LENGTH = 8192

/** The credential of `Authorization: Bearer …` (RFC 6750). Every other scheme is refused. */
function bearerToken(c: ApiContext): string {
  const header = c.env.incoming.headers.authorization
  if (header === undefined) throw new AppError('unauthorized', 'A bearer token is required.')
  const token = header.length <= MAX_TOKEN_LENGTH ? BEARER.exec(header)?.[1] : undefined
  if (token === undefined) throw new AppError('unauthorized', 'Use Authorization: Bearer <token>.')
  return token
}
