import { AppError } from '@tidings/shared/errors'
import type { Hono } from 'hono'
import type { ApiContext, ApiEnv } from './context.ts'
import { respondWithError } from './error-response.ts'
import { notFound } from './read-query.ts'

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

/**
 * Answers what no route took: from `last`, an application of its own; with 405 and Allow where
 * another method would have matched; else with 404.
 */
export function createUnmatchedHandler(app: Hono<ApiEnv>, last: Hono<ApiEnv>) {
  const hasRoute = (routes: Hono<ApiEnv>, method: string, path: string) =>
    routes.router.match(method, path)[0].some(([[, route]]) => route.method === method)

  return (c: ApiContext): Response | Promise<Response> => {
    const { method, path } = c.req
    if (hasRoute(last, method, path)) return last.fetch(c.req.raw, c.env)
    const allowed = METHODS.filter((other) => hasRoute(app, other, path) || hasRoute(last, other, path))
    if (allowed.length === 0) return respondWithError(notFound(), c.env.outgoing.requestId)
    if (allowed.includes('GET')) allowed.push('HEAD')
    const error = new AppError('method_not_allowed', 'This resource does not have this method.')
    const response = respondWithError(error, c.env.outgoing.requestId)
    response.headers.set('allow', allowed.join(', '))
    return response
  }
}
