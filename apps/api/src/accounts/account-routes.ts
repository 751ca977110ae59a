import type { ErasureDeps } from '@tidings/accounts/erase-user'
import {
  credentialsSchema,
  erasureSchema,
  passwordChangeSchema,
  registrationSchema,
} from '@tidings/shared/user'
import { Hono } from 'hono'
import type { Authorize } from '../http/authorize.ts'
import type { ApiEnv } from '../http/context.ts'
import { readJson, readOptionalJson } from '../http/read-json.ts'
import { success } from '../http/respond.ts'
import { readClient } from '../sessions/client.ts'
import { requireSelf } from '../users/path-user.ts'
import type { AccountDeps } from './account-deps.ts'
import { changePassword } from './change-password.ts'
import { confirmOwner } from './confirm-owner.ts'
import { createUserEraser } from './erase-user.ts'
import { logIn } from './log-in.ts'
import { registerUser } from './register-user.ts'

export interface AccountRouteDeps extends AccountDeps, ErasureDeps {
  authorize: Authorize
}

/** Routes that register, log in, change the password and erase the account. */
export function accountRoutes(deps: AccountRouteDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })
  const eraseUser = createUserEraser(deps)

  app.post('/api/v1/users', async (c) => {
    const registration = await readJson(c, registrationSchema)
    const result = await registerUser(deps, registration, readClient(c, deps.clientAddress))
    return success(201, 'User registered.', result)
  })

  app.post('/api/v1/users/login', async (c) => {
    const credentials = await readJson(c, credentialsSchema)
    const result = await logIn(deps, credentials, readClient(c, deps.clientAddress))
    return success(200, 'Logged in.', result)
  })

  app.post('/api/v1/users/:id/password', async (c) => {
    const caller = await deps.authorize.user(c)
    const userId = requireSelf(c, caller)
    const change = await readJson(c, passwordChangeSchema)
    const owner = { userId, keepSessionId: caller.sessionId }
    const client = readClient(c, deps.clientAddress)
    const { endedSessions } = await changePassword(deps, owner, change, client)
    return success(200, 'Password changed.', { ended_sessions: endedSessions })
  })

  app.delete('/api/v1/users/:id', async (c) => {
    const caller = await deps.authorize.user(c)
    const userId = requireSelf(c, caller)
    const body = await readOptionalJson(c, erasureSchema)
    const client = readClient(c, deps.clientAddress)
    await confirmOwner(deps, caller, body?.password, client)
    await eraseUser(userId, client)
    return success(200, 'Account erased.', { id: userId })
  })

  return app
}
