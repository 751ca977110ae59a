import type { Passwords } from '../passwords/passwords.ts'
import type { SessionDeps } from '../sessions/session-deps.ts'

/** Dependencies of the account operations. A login starts a session, and a password change ends sessions. */
export interface AccountDeps extends SessionDeps {
  passwords: Passwords
}
