import type { NewSession } from '@tidings/db/users/sessions'
import { type User, userSchema } from '@tidings/shared/user'
import { z } from 'zod'
import type { AccessTokens } from '../auth/access-tokens.ts'

/** The answer to registering, logging in and refreshing. */
export const loginResultSchema = z
  .strictObject({
    user: userSchema,
    token: z.string(),
    refresh_token: z.string(),
    /** Lifetime of `token`, in seconds. */
    expires_in: z.int(),
  })
  .meta({ id: 'LoginResult' })
export type LoginResult = z.infer<typeof loginResultSchema>

/** Issues an access token for a stored session. */
export async function toLoginResult(
  tokens: AccessTokens,
  user: User,
  session: Pick<NewSession, 'id' | 'refreshToken'>,
): Promise<LoginResult> {
  const { token, expiresInSeconds } = await tokens.issue(user.id, session.id)
  return { user, token, refresh_token: session.refreshToken, expires_in: expiresInSeconds }
}
