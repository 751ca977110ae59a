import type { OwnerProof } from '@tidings/db/users/change-email'
import { readSessionAge } from '@tidings/db/users/sessions'
import { findUser } from '@tidings/db/users/users'
import { AppError } from '@tidings/shared/errors'
import type { UserPrincipal } from '../http/principal.ts'
import { notFound } from '../http/read-query.ts'
import type { Client } from '../sessions/client.ts'
import type { AccountDeps } from './account-deps.ts'

/** A login this long ago still proves that the owner asks, in seconds. A refresh does not renew it. */
const RECENT_LOGIN_SECONDS = 5 * 60

/**
 * Makes sure that the owner asks, and not only somebody who holds a token: by the password, and without one by a recent
 * login.
 *
 * @returns what proved it.
 * @throws AppError `reauthentication_required`, `unauthorized`, `not_found`, `rate_limited`, `overloaded`.
 */
export async function confirmOwner(
  { db, passwords, rateLimits }: Pick<AccountDeps, 'db' | 'passwords' | 'rateLimits'>,
  { userId, sessionId }: UserPrincipal,
  password: string | null | undefined,
  client: Client,
): Promise<OwnerProof> {
  if (password === undefined || password === null) {
    // A token of the Django service has no session.
    if (sessionId === null) throw loginNeeded()
    const ageSeconds = await readSessionAge(db, sessionId)
    if (ageSeconds === undefined) throw new AppError('unauthorized', 'The session has ended.')
    if (ageSeconds < RECENT_LOGIN_SECONDS) return { sessionId }
    throw loginNeeded()
  }
  const user = await findUser(db, userId)
  if (user === undefined) throw notFound()
  const isRight = await rateLimits.limitPasswordCheck(userId, client.address, () =>
    passwords.verify(password, user.password),
  )
  if (isRight) return { passwordHash: user.password }
  const message = 'The password is wrong.'
  throw new AppError('reauthentication_required', message, {
    fields: [{ pointer: '/password', code: 'wrong_password', message }],
  })
}

const loginNeeded = () =>
  new AppError('reauthentication_required', 'Send the password, or log in again first.')
