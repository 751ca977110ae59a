import type { Scope } from '@tidings/shared/service-key'
import type { MaybePromise } from './and-then.ts'

/** A service or an operator, authenticated by a service key. */
export interface ServicePrincipal {
  kind: 'service'
  /** Id of the key. */
  id: string
  /** Name of the key, which becomes the `source` of reported events. */
  name: string
  scopes: ReadonlySet<Scope>
  /** How many events it may report. Undefined: any number. */
  limit?: EventLimit | undefined
}

export interface EventLimit {
  eventsPerSecond: number
  /** Events that it may report at once after a pause. */
  burst: number
}

/** A user, authenticated by an access token. */
export interface UserPrincipal {
  kind: 'user'
  userId: string
  /** Null for a token from the Django service: those belong to no session. */
  sessionId: string | null
}

export type Principal = ServicePrincipal | UserPrincipal

/**
 * Identifies the caller by a bearer token (without the word Bearer).
 *
 * @throws AppError `unauthorized` when the token is not valid, `unavailable` when it cannot be checked now.
 */
export type Authenticate<Caller extends Principal> = (token: string) => MaybePromise<Caller>
