import { accountOf } from '@tidings/accounts/limits/limit-keys'
import { requireStrongPassword } from '@tidings/accounts/passwords/password-rules'
import { addMessage } from '@tidings/db/users/outbound-messages'
import { findResetUser } from '@tidings/db/users/redeem-token'
import { resetPassword as storePassword } from '@tidings/db/users/reset-password'
import type { PasswordReset } from '@tidings/shared/email-links'
import type { AccountDeps } from '../accounts/account-deps.ts'
import type { Client } from '../sessions/client.ts'
import { invalidToken } from './invalid-token.ts'

type Deps = Pick<AccountDeps, 'db' | 'caches' | 'rateLimits' | 'passwords'>

/**
 * Asks for a mail that resets a password. It does the same for every address: the relay finds out whether a user has it.
 *
 * @throws AppError `rate_limited`.
 */
export async function requestPasswordReset(deps: Deps, email: string, client: Client): Promise<void> {
  const { db, rateLimits } = deps
  await rateLimits.checkPasswordReset(client.address)
  await rateLimits.limitResetRequest(email, async () => {
    await addMessage(db, { kind: 'password_reset', userId: null, to: email, locale: client.locale })
  })
}

/**
 * Sets a password with the token of a reset mail, and ends every session and Django token of the user. A weak password
 * does not use the token up.
 *
 * @throws AppError `invalid_token`, `validation_failed` for a weak password, `rate_limited`, `overloaded`.
 */
export async function resetPassword(deps: Deps, reset: PasswordReset, client: Client): Promise<void> {
  const { db, caches, rateLimits, passwords } = deps
  const { token, password } = reset
  await rateLimits.checkPasswordReset(client.address)
  // Before hashing, which is expensive.
  const user = await findResetUser(db, token)
  if (user === undefined) throw invalidToken()
  requireStrongPassword(password, user, 'password')
  const hash = await passwords.hash(password)
  const done = await storePassword(db, { token, hash, locale: client.locale })
  if (done === undefined) throw invalidToken()
  await Promise.all([
    caches.sessions.invalidate(done.endedSessionIds),
    caches.users.invalidate([done.userId]),
    rateLimits.forgetGuesses(accountOf(user.email), client.address),
  ])
}
