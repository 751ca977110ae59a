import type { Tracing } from '@tidings/telemetry/tracing'
import type { MiddlewareHandler } from 'hono'
import type { ApiEnv } from './context.ts'

/** A server span around each request, named by its method and route pattern. Outermost: the log line is in it. */
export function traceRequests(tracing: Tracing): MiddlewareHandler<ApiEnv> {
  return (c, next) =>
    tracing.traceRequest(c.req.method, c.env.incoming.headers, async () => {
      await next()
      const { route = '/*', outgoing } = c.env
      return { route, status: c.res.status, requestId: outgoing.requestId }
    })
}
