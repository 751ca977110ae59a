import { randomUUID } from 'node:crypto'
import type { Logger } from '@tidings/shared/log'
import type { MiddlewareHandler } from 'hono'
import { routePath } from 'hono/route'
import type { ApiEnv } from './context.ts'
import type { ObserveRequest } from './metrics.ts'
import { notFound } from './read-query.ts'

const REQUEST_ID = /^[\w.-]{1,128}$/

/** On every answer. An API needs no more than this; /docs relaxes the policy for its own page. */
const SECURE_HEADERS = new Map([
  ['x-content-type-options', 'nosniff'],
  ['cache-control', 'no-store'],
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
  ['referrer-policy', 'no-referrer'],
  ['strict-transport-security', 'max-age=31536000'],
])

/** The caller's id when it is well-formed, else a new one. */
export function chooseRequestId(given: string | string[] | undefined): string {
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
}

/**
 * Gives each request its id, secure headers, one log line and a duration. The headers are set on Node's
 * response, so that they are there whatever answers, and no Headers object is built per request.
 */
export function instrument(log: Logger, observe: ObserveRequest): MiddlewareHandler<ApiEnv> {
  // The line below holds nothing to redact, and looking for it would double its cost.
  const accessLog = log.child({}, { redact: [] })
  return async (c, next) => {
    const startedMs = performance.now()
    const { incoming, outgoing } = c.env
    const requestId = chooseRequestId(incoming.headers['x-request-id'])
    c.env.requestId = requestId
    outgoing.setHeaders(SECURE_HEADERS)
    outgoing.setHeader('x-request-id', requestId)

    refuseBadEncoding(incoming.url ?? '')
    await next()

    const ms = performance.now() - startedMs
    const route = routePath(c, -1)
    const { status } = c.res
    observe(c.req.method, route, status, ms / 1000)
    accessLog.info(
      { method: c.req.method, route, status, ms: Math.round(ms * 100) / 100, requestId },
      'request',
    )
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
