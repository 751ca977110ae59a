import type { Database } from '@tidings/db/database'
import { generateRefreshToken, type NewSession } from '@tidings/db/users/sessions'
import type { User } from '@tidings/shared/user'
import { v7 as uuidv7 } from 'uuid'
import type { AccessTokens } from '../auth/access-tokens.ts'
import type { ClientAddress } from '../auth/client-address.ts'
import type { Limits } from '../auth/rate-limits.ts'
import type { Caches } from '../compose/open-caches.ts'
import type { ApiContext } from '../http/context.ts'
import type { Passwords } from '../passwords/passwords.ts'

/** What everything about accounts needs. */
export interface AccountDeps {
  db: Database
  caches: Caches
  tokens: AccessTokens
  passwords: Passwords
  limits: Limits
  refreshTtlSeconds: number
  clientAddress: ClientAddress
}

/** Who logs in from where; kept with the session, for its owner to recognise. */
export interface Client {
  address: string
  userAgent: string | null
}

const MAX_USER_AGENT_LENGTH = 255

export function clientOf(c: ApiContext, clientAddress: ClientAddress): Client {
  const userAgent = c.env.incoming.headers['user-agent']
  // Header bytes are read as Latin-1; anything unprintable has no business in a list of sessions.
  const printable = userAgent?.replaceAll(/[^\x20-\x7e\xa0-\xff]/g, '').slice(0, MAX_USER_AGENT_LENGTH)
  return { address: clientAddress(c), userAgent: printable || null }
}

/** What a login gives. `expiresIn` is the access token's, in seconds. */
export interface LoginResult {
  user: User
  token: string
  refresh_token: string
  expires_in: number
}

/** A session that is not stored yet. */
export function newSession(deps: AccountDeps, userId: string, client: Client): NewSession {
  return {
    id: uuidv7(),
    userId,
    refreshToken: generateRefreshToken(),
    userAgent: client.userAgent,
    ip: client.address,
    expiresAt: new Date(Date.now() + deps.refreshTtlSeconds * 1000),
  }
}

/** Makes the answer for a session that is stored. */
export async function toLoginResult(
  deps: AccountDeps,
  user: User,
  session: NewSession,
): Promise<LoginResult> {
  const { token, expiresInSeconds } = await deps.tokens.issue(user.id, session.id)
  return { user, token, refresh_token: session.refreshToken, expires_in: expiresInSeconds }
}
