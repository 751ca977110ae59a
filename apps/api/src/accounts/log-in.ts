import { accountOf } from '@tidings/accounts/limits/limit-keys'
import { neighbourhoodOf } from '@tidings/accounts/limits/network'
import { hasLoggedInFrom, startSession } from '@tidings/db/users/sessions'
import { findUserByEmail, replacePasswordHash, type UserRow } from '@tidings/db/users/users'
import { requestVerification } from '@tidings/db/users/verify-email'
import { AppError } from '@tidings/shared/errors'
import type { Credentials } from '@tidings/shared/user'
import type { Client } from '../sessions/client.ts'
import { describeDevice } from '../sessions/describe-device.ts'
import { emailNotVerified } from '../sessions/email-not-verified.ts'
import { type LoginResult, toLoginResult } from '../sessions/login-result.ts'
import { newSession } from '../sessions/new-session.ts'
import { toUser } from '../users/to-user.ts'
import type { AccountDeps } from './account-deps.ts'

/** The part of AccountDeps that a login uses. */
type LogInDeps = Pick<
  AccountDeps,
  'db' | 'tokens' | 'passwords' | 'rateLimits' | 'refreshTtlSeconds' | 'requireVerifiedEmail'
> & {
  caches: { sessions: Pick<AccountDeps['caches']['sessions'], 'invalidate'> }
}

/**
 * Logs a user in. An unknown address, an inactive user, an unusable password and a wrong password get the same
 * refusal after the same work.
 *
 * @throws AppError `invalid_credentials`; `email_not_verified` after the message was sent again; `rate_limited`, `overloaded`.
 */
export async function logIn(deps: LogInDeps, credentials: Credentials, client: Client): Promise<LoginResult> {
  const { db, caches, tokens, rateLimits, passwords } = deps
  const account = accountOf(credentials.email)
  const isFamiliar = (network: string) => hasLoggedInFrom(db, account, network)
  const login = { account, address: client.address, isFamiliar }
  const user = await rateLimits.limitLogin(login, async () => {
    const found = await findUserByEmail(db, account)
    const matches = await passwords.verify(credentials.password, found?.password)
    return matches && found?.isActive ? found : undefined
  })
  if (user === undefined) throw wrongCredentials()
  if (deps.requireVerifiedEmail && user.emailVerifiedAt === null) {
    await requestVerification(db, user.id, client.locale)
    throw emailNotVerified()
  }
  const passwordHash = await renewHash(deps, user, credentials.password)
  const session = newSession(user.id, client, deps.refreshTtlSeconds)
  const { userAgent, address, locale } = client
  const origin = { device: describeDevice(userAgent), network: neighbourhoodOf(address), locale }
  const started = await startSession(db, session, passwordHash, origin)
  if (started === undefined) throw wrongCredentials()
  await caches.sessions.invalidate(started.endedSessionIds)
  return toLoginResult(tokens, toUser(user), session)
}

const wrongCredentials = () =>
  new AppError('invalid_credentials', 'The e-mail address or the password is wrong.')

/**
 * Replaces a hash of another algorithm or with too few iterations: only a login knows the password.
 *
 * @returns the stored hash.
 */
async function renewHash(deps: LogInDeps, user: UserRow, password: string): Promise<string> {
  const { db, passwords } = deps
  if (!passwords.needsRehash(user.password)) return user.password
  try {
    const to = await passwords.hash(password)
    return (await replacePasswordHash(db, user.id, { from: user.password, to })) ? to : user.password
  } catch (error) {
    // The hash pool is overloaded: this login goes on, and the next one tries again.
    if (error instanceof AppError) return user.password
    throw error
  }
}
