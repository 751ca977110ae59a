import { listSessions } from '@tidings/db/users/sessions'
import { Hono } from 'hono'
import { z } from 'zod'
import type { SigningKeys } from '../auth/signing-keys.ts'
import type { Authorize } from '../http/authorize.ts'
import type { ApiEnv } from '../http/context.ts'
import { readJson } from '../http/read-json.ts'
import { readPathUuid } from '../http/read-query.ts'
import { success } from '../http/respond.ts'
import { readClient } from './client.ts'
import { describeDevice } from './describe-device.ts'
import { endOwnSession, logOut, logOutEverywhere } from './end-sessions.ts'
import { refreshSession } from './refresh-session.ts'
import type { SessionDeps } from './session-deps.ts'

export interface SessionRouteDeps extends SessionDeps {
  authorize: Authorize
  signingKeys: SigningKeys
}

export const refreshSchema = z.strictObject({ refresh_token: z.string().min(1).max(512) })

export function sessionRoutes(deps: SessionRouteDeps): Hono<ApiEnv> {
  const { authorize, signingKeys } = deps
  const app = new Hono<ApiEnv>({ strict: false })

  app.post('/api/v1/auth/refresh', async (c) => {
    const { refresh_token: refreshToken } = await readJson(c, refreshSchema)
    const result = await refreshSession(deps, refreshToken, readClient(c, deps.clientAddress))
    return success(200, 'Session refreshed.', result)
  })

  app.post('/api/v1/auth/logout', async (c) => {
    await logOut(deps, await authorize.user(c))
    return success(200, 'Logged out.', {})
  })

  app.post('/api/v1/auth/logout-all', async (c) => {
    const { userId } = await authorize.user(c)
    return success(200, 'Logged out everywhere.', { ended_sessions: await logOutEverywhere(deps, userId) })
  })

  app.get('/api/v1/auth/sessions', async (c) => {
    const { userId, sessionId } = await authorize.user(c)
    const sessions = await listSessions(deps.db, userId)
    const data = sessions.map((session) => ({
      id: session.id,
      current: session.id === sessionId,
      device: describeDevice(session.userAgent),
      ip: session.ip,
      user_agent: session.userAgent,
      created_at: session.createdAt.toISOString(),
      last_used_at: session.lastUsedAt.toISOString(),
      expires_at: session.expiresAt.toISOString(),
    }))
    return success(200, 'Sessions.', data)
  })

  app.delete('/api/v1/auth/sessions/:session_id', async (c) => {
    const { userId } = await authorize.user(c)
    const id = readPathUuid(c, 'session_id')
    await endOwnSession(deps, userId, id)
    return success(200, 'Session ended.', { id })
  })

  app.get('/.well-known/jwks.json', () =>
    Response.json(signingKeys.publicJwks(), { headers: { 'cache-control': 'public, max-age=60' } }),
  )

  return app
}
