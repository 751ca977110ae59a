import { requireStrongPassword } from '@tidings/accounts/passwords/password-rules'
import { changePassword as storePassword } from '@tidings/db/users/change-password'
import { findUser } from '@tidings/db/users/users'
import { AppError } from '@tidings/shared/errors'
import type { PasswordChange } from '@tidings/shared/user'
import { notFound } from '../http/read-query.ts'
import type { Client } from '../sessions/client.ts'
import type { AccountDeps } from './account-deps.ts'

/**
 * Sets a new password, and ends every session of the user except `keepSessionId`.
 *
 * @returns the number of ended sessions.
 * @throws AppError `validation_failed` when the current password is wrong or the new one is weak; `conflict` when
 *   another request changed the password meanwhile; `not_found`, `rate_limited`, `overloaded`.
 */
export async function changePassword(
  deps: AccountDeps,
  owner: { userId: string; keepSessionId: string | null },
  change: PasswordChange,
  client: Client,
): Promise<{ endedSessions: number }> {
  const { db, caches, rateLimits, passwords } = deps
  const { userId, keepSessionId } = owner
  const user = await findUser(db, userId)
  if (user === undefined) throw notFound()
  requireStrongPassword(change.new_password, user, 'new_password')
  const isRight = await rateLimits.limitPasswordCheck(userId, client.address, () =>
    passwords.verify(change.current_password, user.password),
  )
  if (!isRight) {
    const message = 'The current password is wrong.'
    throw new AppError('validation_failed', message, {
      fields: [{ pointer: '/current_password', code: 'wrong_password', message }],
    })
  }
  const changed = await storePassword(db, {
    userId,
    from: user.password,
    hash: await passwords.hash(change.new_password),
    keepSessionId: keepSessionId ?? undefined,
    locale: client.locale,
  })
  if (changed === undefined) throw new AppError('conflict', 'The password was changed meanwhile. Try again.')
  await Promise.all([caches.sessions.invalidate(changed.endedSessionIds), caches.users.invalidate([userId])])
  return { endedSessions: changed.endedSessionIds.length }
}
