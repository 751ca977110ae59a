import type { Tracing } from '@tidings/telemetry/tracing'
import type { MiddlewareHandler } from 'hono'
import type { ApiEnv } from './context.ts'

/** Puts each request in a server span named by method and route pattern. Mount it first, so that log lines are inside. */
export function traceRequests(tracing: Tracing): MiddlewareHandler<ApiEnv> {
  return (c, next) =>
    tracing.traceRequest(c.req.method, c.env.incoming.headers, async () => {
      await next()
      const { route = '/*', outgoing } = c.env
      return { route, status: c.res.status, requestId: outgoing.requestId }
    })
}
