import { startSession } from '@tidings/db/users/sessions'
import { findUserByEmail, replacePasswordHash, type UserRow } from '@tidings/db/users/users'
import { AppError } from '@tidings/shared/errors'
import type { Credentials } from '@tidings/shared/user'
import {
  type AccountDeps,
  type Client,
  type LoginResult,
  newSession,
  toLoginResult,
} from '../sessions/session-grant.ts'
import { toUser } from '../users/user-record.ts'

/**
 * Logs a user in. An unknown address, an inactive user, an unusable password and a wrong one are the same
 * refusal, after the same work.
 *
 * @throws AppError `invalid_credentials`, `rate_limited`, `overloaded`.
 */
export async function logIn(
  deps: AccountDeps,
  credentials: Credentials,
  client: Client,
): Promise<LoginResult> {
  const { db, limits, passwords } = deps
  const account = credentials.email.trim().toLowerCase()
  await limits.checkLogin(account, client.address)
  const user = await findUserByEmail(db, account)
  const matches = await passwords.verify(credentials.password, user?.password)
  if (user === undefined || !matches || !user.isActive) {
    await limits.recordFailedLogin(account)
    throw wrong()
  }
  await limits.resetFailedLogins(account)
  const passwordHash = await strengthenHash(deps, user, credentials.password)
  const session = newSession(deps, user.id, client)
  if (!(await startSession(db, session, passwordHash))) throw wrong()
  return toLoginResult(deps, toUser(user), session)
}

const wrong = () => new AppError('invalid_credentials', 'The e-mail address or the password is wrong.')

/** The password is only known now, so now its hash is brought up to today's cost. Gives the hash in force. */
async function strengthenHash(deps: AccountDeps, user: UserRow, password: string): Promise<string> {
  const { db, passwords } = deps
  if (!passwords.isWeak(user.password)) return user.password
  try {
    const to = await passwords.hash(password)
    return (await replacePasswordHash(db, user.id, { from: user.password, to })) ? to : user.password
  } catch (error) {
    // Too busy for it: the next login tries again, and this one goes on.
    if (error instanceof AppError) return user.password
    throw error
  }
}
