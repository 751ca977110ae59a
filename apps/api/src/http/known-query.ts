import { parseValue } from '@tidings/shared/parse-value'
import { SCOPES } from '@tidings/shared/service-key'
import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'
import { andThen, type MaybePromise } from './and-then.ts'
import type { Authorize } from './authorize.ts'
import type { ApiContext } from './context.ts'
import type { RouteHandler } from './instrument.ts'

const METHODS = ['GET', 'DELETE']

/** Whether the route refuses unknown query parameters. Not the pages for browsers and probes, whose URLs may have some. */
export const hasKnownQuery = (method: string, path: string): boolean =>
  METHODS.includes(method) && path.startsWith('/api/v1/')

/**
 * Wraps a route's handler: callers get `validation_failed` for a query parameter that the operation does not describe.
 * An ignored filter would answer with everything. Callers without access get their refusal first, as for a body.
 */
export function refuseUnknownQuery(
  { query, access }: Pick<Operation, 'query' | 'access'>,
  authorize: Authorize,
  handler: RouteHandler,
): RouteHandler {
  const names = Object.keys(query?.shape ?? {})
  const schema = z.strictObject(Object.fromEntries(names.map((name) => [name, z.unknown().optional()])))
  return (c) => {
    if (!c.env.incoming.url?.includes('?')) return handler(c)
    const given = c.req.query()
    if (Object.keys(given).every((name) => names.includes(name))) return handler(c)
    return andThen(checkAccess(c, access, authorize), () => {
      parseValue(schema, given)
      return handler(c)
    })
  }
}

function checkAccess(
  c: ApiContext,
  access: Operation['access'],
  authorize: Authorize,
): MaybePromise<unknown> {
  if (access === 'public') return undefined
  const scope = SCOPES.find((each) => access.includes(each))
  if (scope === undefined) return authorize.user(c)
  return access.includes('user') ? authorize.userOrService(c, scope) : authorize.service(c, scope)
}
