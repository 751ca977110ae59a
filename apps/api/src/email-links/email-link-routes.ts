import { requestVerification } from '@tidings/db/users/verify-email'
import {
  emailChangeSchema,
  passwordResetRequestSchema,
  passwordResetSchema,
  TOKEN_MEMBER,
  tokenUseSchema,
} from '@tidings/shared/email-links'
import { Hono } from 'hono'
import type { AccountDeps } from '../accounts/account-deps.ts'
import type { Authorize } from '../http/authorize.ts'
import type { ApiContext, ApiEnv } from '../http/context.ts'
import { readJson } from '../http/read-json.ts'
import { success } from '../http/respond.ts'
import { readClient } from '../sessions/client.ts'
import { requireSelf } from '../users/path-user.ts'
import { confirmEmailChange, requestEmailChange, undoEmailChange } from './change-email.ts'
import { requestPasswordReset, resetPassword } from './reset-password.ts'
import { verifyEmail } from './verify-email.ts'

export interface EmailLinkRouteDeps extends AccountDeps {
  authorize: Authorize
}

/** Routes that send a link by mail, and those that use its token. */
export function emailLinkRoutes(deps: EmailLinkRouteDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })
  const clientOf = (c: ApiContext) => readClient(c, deps.clientAddress)
  const withToken = { uncheckedMember: TOKEN_MEMBER }

  app.post('/api/v1/auth/password-reset', async (c) => {
    const { email } = await readJson(c, passwordResetRequestSchema)
    await requestPasswordReset(deps, email, clientOf(c))
    return success(202, 'If an account has this address, a message is on its way.', {})
  })

  app.post('/api/v1/auth/password-reset/confirm', async (c) => {
    const reset = await readJson(c, passwordResetSchema, withToken)
    await resetPassword(deps, reset, clientOf(c))
    return success(200, 'Password changed. Every session has ended.', {})
  })

  app.post('/api/v1/auth/email-verification', async (c) => {
    const { userId } = await deps.authorize.user(c)
    await requestVerification(deps.db, userId, clientOf(c).locale)
    return success(202, 'Unless the address is verified, a message is on its way.', {})
  })

  app.post('/api/v1/auth/email-verification/confirm', async (c) => {
    const { token } = await readJson(c, tokenUseSchema, withToken)
    await verifyEmail(deps, token)
    return success(200, 'E-mail address verified.', {})
  })

  app.post('/api/v1/users/:id/email', async (c) => {
    const caller = await deps.authorize.user(c)
    requireSelf(c, caller)
    const change = await readJson(c, emailChangeSchema)
    await requestEmailChange(deps, caller, change, clientOf(c))
    return success(202, 'The address changes when it is confirmed from there.', {})
  })

  app.post('/api/v1/auth/email-change/confirm', async (c) => {
    const { token } = await readJson(c, tokenUseSchema, withToken)
    await confirmEmailChange(deps, token, clientOf(c))
    return success(200, 'E-mail address changed.', {})
  })

  app.post('/api/v1/auth/email-change/undo', async (c) => {
    const { token } = await readJson(c, tokenUseSchema, withToken)
    await undoEmailChange(deps, token)
    return success(200, 'Earlier e-mail address restored. Reset the password next.', {})
  })

  return app
}
