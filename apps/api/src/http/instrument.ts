import type { Logger } from '@tidings/runtime/log'
import type { MaybePromise } from './and-then.ts'
import type { ApiContext } from './context.ts'
import { notFound } from './read-query.ts'
import type { RequestMetrics } from './request-metrics.ts'

export type RouteHandler = (c: ApiContext) => MaybePromise<Response>

/** Wraps the handler of a route (given by its pattern): one log line and one duration per request. */
export type Instrument = (route: string, handler: RouteHandler) => RouteHandler

/**
 * Wraps each handler instead of adding one middleware: the constant part of a route's log line is built once, and a
 * handler that does not wait answers without a promise.
 *
 * @param answerError turns an error that a handler threw into an answer.
 */
export function createInstrument(
  log: Logger,
  metrics: RequestMetrics,
  answerError: (thrown: unknown, c: ApiContext) => Response,
): Instrument {
  // The access log has nothing to redact, and redaction would double its cost.
  const accessLog = log.child({}, { redact: [] })

  return (route, handler) => {
    // With a 503 a health route says that a store is away. Its request did not fail.
    const failsFrom = route.startsWith('/health') ? Number.POSITIVE_INFINITY : 500
    const endpoints = new Map<string, { accessLog: Logger; observe: ReturnType<RequestMetrics> }>()
    function endpointOf(method: string) {
      let endpoint = endpoints.get(method)
      if (endpoint === undefined) {
        endpoint = { accessLog: accessLog.child({ method, route }), observe: metrics(method, route) }
        endpoints.set(method, endpoint)
      }
      return endpoint
    }
    function record(c: ApiContext, startedMs: number, response: Response): Response {
      const ms = performance.now() - startedMs
      const { status } = response
      const endpoint = endpointOf(c.req.method)
      endpoint.observe(status, ms / 1000)
      const { requestId } = c.env.outgoing
      const fields = { status, ms: Math.round(ms * 100) / 100, requestId }
      if (status < failsFrom) endpoint.accessLog.info(fields, 'request')
      else endpoint.accessLog.error(fields, 'request')
      return response
    }

    return (c) => {
      const startedMs = performance.now()
      c.env.route = route
      try {
        refuseBadPath(c.env.incoming.url ?? '')
        const answer = handler(c)
        if (!(answer instanceof Promise)) return record(c, startedMs, answer)
        return answer.then(
          (response) => record(c, startedMs, response),
          (thrown: unknown) => record(c, startedMs, answerError(thrown, c)),
        )
      } catch (thrown) {
        return record(c, startedMs, answerError(thrown, c))
      }
    }
  }
}

/** A segment `.` or `..`: a URL drops it, so DELETE /users/me/devices/%2e%2e would erase the user. */
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?:\/|$)/i

/** @throws AppError `not_found` when the path has dot segments, does not decode, or decodes to text with NUL. */
function refuseBadPath(url: string): void {
  if (!url.includes('%') && !url.includes('/.')) return
  const [path = ''] = url.split('?', 1)
  try {
    if (!DOT_SEGMENT.test(path) && !decodeURIComponent(path).includes('\0')) return
  } catch {
    // Not decodable: refused below.
  }
  throw notFound()
}
