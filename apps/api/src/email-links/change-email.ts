import {
  type MoveResult,
  confirmEmailChange as storeChange,
  requestEmailChange as storeRequest,
  undoEmailChange as storeUndo,
} from '@tidings/db/users/change-email'
import type { EmailChange } from '@tidings/shared/email-links'
import { AppError } from '@tidings/shared/errors'
import type { AccountDeps } from '../accounts/account-deps.ts'
import { confirmOwner } from '../accounts/confirm-owner.ts'
import type { UserPrincipal } from '../http/principal.ts'
import { notFound } from '../http/read-query.ts'
import type { Client } from '../sessions/client.ts'
import { invalidToken } from './invalid-token.ts'

/**
 * Asks a new address to confirm that it becomes the user's. The answer does not tell whether another user has it.
 *
 * @throws AppError `validation_failed` for the present address, `rate_limited`, errors of confirmOwner, and `unauthorized` or
 *   `conflict` when the session ended or the password changed meanwhile.
 */
export async function requestEmailChange(
  deps: AccountDeps,
  caller: UserPrincipal,
  { email, password }: EmailChange,
  client: Client,
): Promise<void> {
  const { userId } = caller
  const proof = await confirmOwner(deps, caller, password, client)
  await deps.rateLimits.checkEmailChange(userId)
  const outcome = await storeRequest(deps.db, { userId, email, locale: client.locale, proof })
  if (outcome === undefined) throw notFound()
  if (outcome === 'requested') return
  if (outcome === 'outdated')
    throw 'sessionId' in proof
      ? new AppError('unauthorized', 'The session has ended.')
      : new AppError('conflict', 'The password was changed meanwhile. Try again.')
  const message = 'The account has this address already.'
  const fields = [{ pointer: '/email', code: 'same_email', message }]
  throw new AppError('validation_failed', message, { fields })
}

type MoveDeps = Pick<AccountDeps, 'db' | 'caches'>

/** Gives the user of a token the new address. @throws AppError `invalid_token`, `email_taken`. */
export async function confirmEmailChange(deps: MoveDeps, token: string, client: Client): Promise<void> {
  await publish(deps, await storeChange(deps.db, token, client.locale))
}

/**
 * Gives the user of a token the earlier address back, and ends every session and Django token.
 *
 * @throws AppError `invalid_token`, `email_taken`.
 */
export async function undoEmailChange(deps: MoveDeps, token: string): Promise<void> {
  await publish(deps, await storeUndo(deps.db, token))
}

async function publish({ caches }: MoveDeps, result: MoveResult): Promise<void> {
  if (result.outcome === 'invalid_token') throw invalidToken()
  if (result.outcome === 'email_taken')
    throw new AppError('email_taken', 'Another account has this e-mail address meanwhile.')
  await Promise.all([
    caches.sessions.invalidate(result.endedSessionIds),
    caches.users.invalidate(result.userIds),
  ])
}
