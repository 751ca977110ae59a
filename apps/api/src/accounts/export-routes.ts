import { AppError } from '@tidings/shared/errors'
import { Hono } from 'hono'
import type { Authorize } from '../http/authorize.ts'
import type { ApiEnv } from '../http/context.ts'
import { NDJSON } from '../openapi/document.ts'
import { requireSelf } from '../users/path-user.ts'
import { createAccountExporter, type ExportDeps } from './export-account.ts'

export interface ExportRouteDeps extends ExportDeps {
  authorize: Authorize
}

/** The route that gives users everything that is held about them. */
export function exportRoutes(deps: ExportRouteDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })
  const exportAccount = createAccountExporter(deps)

  app.get('/api/v1/users/:id/export', async (c) => {
    const caller = await deps.authorize.user(c)
    const userId = requireSelf(c, caller)
    // A token of the Django service lives for days and cannot be ended by itself.
    if (caller.sessionId === null) throw new AppError('reauthentication_required', 'Log in again first.')
    const headers = {
      'content-type': NDJSON,
      'content-disposition': `attachment; filename="tidings-export-${userId}.ndjson"`,
    }
    // Hono drops the body of an answer to HEAD without telling it.
    if (c.env.incoming.method === 'HEAD') return new Response(null, { headers })
    const { outgoing } = c.env
    const body = await exportAccount(userId, () => outgoing.destroy())
    return new Response(body, { headers })
  })

  return app
}
