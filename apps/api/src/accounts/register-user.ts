import { requireStrongPassword } from '@tidings/accounts/passwords/password-rules'
import { createUser } from '@tidings/db/users/users'
import { AppError } from '@tidings/shared/errors'
import type { Registration } from '@tidings/shared/user'
import { v7 as uuidv7 } from 'uuid'
import type { Client } from '../sessions/client.ts'
import { type LoginResult, toLoginResult } from '../sessions/login-result.ts'
import { newSession } from '../sessions/new-session.ts'
import { toUser } from '../users/to-user.ts'
import type { AccountDeps } from './account-deps.ts'

/**
 * Registers a user, logs them in, and sends the message that verifies the address.
 *
 * @throws AppError `validation_failed` for a weak password, `email_taken`, `rate_limited`, `overloaded`.
 */
export async function registerUser(
  deps: AccountDeps,
  registration: Registration,
  client: Client,
): Promise<LoginResult> {
  requireStrongPassword(registration.password, registration, 'password')
  await deps.rateLimits.checkRegistration(client.address)
  const userId = uuidv7()
  const session = newSession(userId, client, deps.refreshTtlSeconds)
  const created = await createUser(
    deps.db,
    {
      id: userId,
      email: registration.email,
      name: registration.name,
      password: await deps.passwords.hash(registration.password),
      pushToken: registration.push_token ?? null,
      emailNotifications: registration.preferences?.email ?? true,
      pushNotifications: registration.preferences?.push ?? true,
    },
    session,
    client.locale,
  )
  if (created.outcome === 'email_taken') {
    throw new AppError('email_taken', 'This e-mail address is registered already.', {
      fields: [{ pointer: '/email', code: 'email_taken', message: 'This address is registered already.' }],
    })
  }
  await deps.caches.users.invalidate(created.takenFrom)
  return toLoginResult(deps.tokens, toUser(created.user), session)
}
