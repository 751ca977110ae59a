import type { Logger } from '@tidings/runtime/log'
import type { MaybePromise } from './and-then.ts'
import type { ApiContext } from './context.ts'
import { notFound } from './read-query.ts'
import type { RequestMetrics } from './request-metrics.ts'

export type RouteHandler = (c: ApiContext) => MaybePromise<Response>

/** Gives the handler of a route (its pattern) one log line and a duration for each request. */
export type Instrument = (route: string, handler: RouteHandler) => RouteHandler

/**
 * A wrapper around each handler and not a middleware before all of them: what a route always says is made once,
 * and an answer that needs no waiting is given without a promise.
 *
 * @param answerError what becomes of an error that a handler throws.
 */
export function createInstrument(
  log: Logger,
  metrics: RequestMetrics,
  answerError: (thrown: unknown, c: ApiContext) => Response,
): Instrument {
  // The line below holds nothing to redact, and looking for it would double its cost.
  const accessLog = log.child({}, { redact: [] })

  return (route, handler) => {
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
      endpoint.accessLog.info({ status, ms: Math.round(ms * 100) / 100, requestId }, 'request')
      return response
    }

    return (c) => {
      const startedMs = performance.now()
      c.env.route = route
      try {
        refuseBadEncoding(c.env.incoming.url ?? '')
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

/** A path that does not decode to text without NUL names nothing. */
function refuseBadEncoding(url: string): void {
  if (!url.includes('%')) return
  const [path = ''] = url.split('?', 1)
  try {
    if (!decodeURIComponent(path).includes('\0')) return
  } catch {
    // Falls through to the refusal.
  }
  throw notFound()
}
