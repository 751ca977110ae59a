import type { ApiContext } from '../http/context.ts'
import type { Principal, UserPrincipal } from '../http/principal.ts'
import { notFound, readPathUuid } from '../http/read-query.ts'

/**
 * The user a path names, for who may see them: themselves (`me` too), or any for a service.
 *
 * @throws AppError `not_found` for another user's id, as for one that never was.
 */
export function requireVisible(c: ApiContext, who: Principal): string {
  return who.kind === 'user' ? requireSelf(c, who) : readPathUuid(c, 'id')
}

/** The user a path names, who must be the caller. */
export function requireSelf(c: ApiContext, who: UserPrincipal): string {
  if (c.req.param('id') === 'me') return who.userId
  if (readPathUuid(c, 'id') !== who.userId) throw notFound()
  return who.userId
}
