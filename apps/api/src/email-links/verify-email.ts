import { verifyEmail as storeVerification } from '@tidings/db/users/verify-email'
import type { AccountDeps } from '../accounts/account-deps.ts'
import { invalidToken } from './invalid-token.ts'

/** Records that a user receives mail at their address. @throws AppError `invalid_token`. */
export async function verifyEmail(
  { db, caches }: Pick<AccountDeps, 'db' | 'caches'>,
  token: string,
): Promise<void> {
  const verified = await storeVerification(db, token)
  if (verified === undefined) throw invalidToken()
  await caches.users.invalidate([verified.userId])
}
