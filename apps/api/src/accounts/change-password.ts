import { changePassword as storePassword } from '@tidings/db/users/change-password'
import { findUser } from '@tidings/db/users/users'
import { AppError } from '@tidings/shared/errors'
import type { PasswordChange } from '@tidings/shared/user'
import { notFound } from '../http/read-query.ts'
import { requireStrongPassword } from '../passwords/password-rules.ts'
import type { AccountDeps, Client } from '../sessions/session-grant.ts'

/**
 * Sets a new password. Every session but `keepSessionId` ends, and with it its tokens.
 *
 * @throws AppError `validation_failed` when the current password is wrong or the new one weak, `conflict`
 *   when the password changed meanwhile, `rate_limited`, `overloaded`.
 */
export async function changePassword(
  deps: AccountDeps,
  owner: { userId: string; keepSessionId: string | null },
  change: PasswordChange,
  client: Client,
): Promise<{ endedSessions: number }> {
  const { db, caches, limits, passwords } = deps
  const { userId, keepSessionId } = owner
  const user = await findUser(db, userId)
  if (user === undefined) throw notFound()
  requireStrongPassword(change.new_password, user, 'new_password')
  await limits.checkLogin(user.email.toLowerCase(), client.address)
  if (!(await passwords.verify(change.current_password, user.password))) {
    await limits.recordFailedLogin(user.email.toLowerCase())
    const message = 'The current password is wrong.'
    throw new AppError('validation_failed', message, {
      fields: [{ pointer: '/current_password', code: 'wrong_password', message }],
    })
  }
  const hashes = { from: user.password, to: await passwords.hash(change.new_password) }
  const changed = await storePassword(db, userId, hashes, keepSessionId ?? undefined)
  if (changed === undefined) throw new AppError('conflict', 'The password was changed meanwhile. Try again.')
  await Promise.all([caches.sessions.invalidate(changed.endedSessionIds), caches.users.invalidate([userId])])
  return { endedSessions: changed.endedSessionIds.length }
}
