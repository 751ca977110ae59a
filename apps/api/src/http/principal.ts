import type { Scope } from '@tidings/shared/service-key'
import type { MaybePromise } from './and-then.ts'

/** A service or operator that showed a service key. */
export interface ServicePrincipal {
  kind: 'service'
  /** Id of the key. */
  id: string
  /** Name of the key: the `source` of what it reports. */
  name: string
  scopes: ReadonlySet<Scope>
}

/** A person who showed an access token. */
export interface UserPrincipal {
  kind: 'user'
  userId: string
  /** Null for a token of the Django service, which belongs to no session. */
  sessionId: string | null
}

export type Principal = ServicePrincipal | UserPrincipal

/**
 * Finds out who calls from a bearer token (the credential alone, without its scheme).
 *
 * @throws AppError `unauthorized` when the token is not valid, `unavailable` when that cannot be told now.
 */
export type Authenticate<Who extends Principal> = (token: string) => MaybePromise<Who>
