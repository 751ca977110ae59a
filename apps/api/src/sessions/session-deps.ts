import type { Database } from '@tidings/db/database'
import type { AccessTokens } from '../auth/access-tokens.ts'
import type { ClientAddress } from '../auth/client-address.ts'
import type { RateLimits } from '../auth/rate-limits.ts'
import type { Caches } from '../cache/caches.ts'

export interface SessionDeps {
  db: Database
  caches: Caches
  tokens: AccessTokens
  rateLimits: RateLimits
  /** Lifetime of a session from its last refresh, in seconds. */
  refreshTtlSeconds: number
  clientAddress: ClientAddress
  /** Refuses logins and refreshes of users who have not verified their address. */
  requireVerifiedEmail: boolean
}
