import { AppError } from '@tidings/shared/errors'
import { type Scope, SERVICE_KEY_PREFIX } from '@tidings/shared/service-key'
import { andThen, type MaybePromise } from './and-then.ts'
import type { ApiContext } from './context.ts'
import type { Authenticate, Principal, ServicePrincipal, UserPrincipal } from './principal.ts'

/**
 * Authenticates the caller and checks its rights. Each function throws AppError `unauthorized` without a valid
 * credential, and `forbidden` when the credential is valid but not sufficient. Routes call one before reading the body.
 */
export interface Authorize {
  /** Accepts a service key with `scope`. */
  service(c: ApiContext, scope: Scope): MaybePromise<ServicePrincipal>
  /** Accepts a user. */
  user(c: ApiContext): MaybePromise<UserPrincipal>
  /** Accepts any user, or a service key with `scope`. The route decides what a user may see. */
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
      // A user token: 403 when it is valid, 401 when it is not.
      if (!token.startsWith(SERVICE_KEY_PREFIX))
        return andThen(authenticateUser(token), () => {
          throw needsScope(scope)
        })
      return andThen(authenticateService(token), (service) => requireScope(service, scope))
    },

    user(c) {
      const token = bearerToken(c)
      return token.startsWith(SERVICE_KEY_PREFIX)
        ? andThen(authenticateService(token), refuseService)
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

/** @throws AppError `forbidden` when the key lacks `scope`. */
export function requireScope(principal: ServicePrincipal, scope: Scope): ServicePrincipal {
  if (principal.scopes.has(scope)) return principal
  throw needsScope(scope)
}

const needsScope = (scope: Scope) =>
  new AppError('forbidden', `This needs a service key with the scope ${scope}.`)

function refuseService(): never {
  throw new AppError('forbidden', 'This credential is not meant for this resource.')
}

const BEARER = /^Bearer +([\w\-.~+/]+=*)$/i
const MAX_TOKEN_LENGTH = 8192

/** Reads the credential of `Authorization: Bearer …` (RFC 6750). Other schemes are refused. */
function bearerToken(c: ApiContext): string {
  const header = c.env.incoming.headers.authorization
  if (header === undefined) throw new AppError('unauthorized', 'A bearer token is required.')
  const token = header.length <= MAX_TOKEN_LENGTH ? BEARER.exec(header)?.[1] : undefined
  if (token === undefined) throw new AppError('unauthorized', 'Use Authorization: Bearer <token>.')
  return token
}
