import { AppError } from '@tidings/shared/errors'
import type { Hono } from 'hono'
import type { ApiContext, ApiEnv } from './context.ts'
import { respondWithError } from './error-response.ts'
import { notFound } from './read-query.ts'

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

/** Answers requests that no route of `apps` matched: 405 with Allow if another method matches, otherwise 404. */
export function createUnmatchedHandler(apps: readonly Hono<ApiEnv>[]) {
  return (c: ApiContext): Response => {
    const allowed = METHODS.filter((method) =>
      apps.some((app) =>
        app.router.match(method, c.req.path)[0].some(([[, route]]) => route.method === method),
      ),
    )
    if (allowed.length === 0) return respondWithError(notFound(), c.env.outgoing.requestId)
    if (allowed.includes('GET')) allowed.push('HEAD')
    const error = new AppError('method_not_allowed', 'This resource does not have this method.')
    const response = respondWithError(error, c.env.outgoing.requestId)
    response.headers.set('allow', allowed.join(', '))
    return response
  }
}
