import { AppError } from '@tidings/shared/errors'
import { z } from 'zod'
import type { ApiContext } from '../http/context.ts'
import type { Principal, UserPrincipal } from '../http/principal.ts'
import { notFound, readPathUuid } from '../http/read-query.ts'

/** How a path names a user: by id, or `me` for the caller. */
export const pathUserSchema = z.union([z.guid(), z.literal('me')])

/**
 * Returns the id of the user in the path. A user may see only themselves, a service may see everyone.
 *
 * @throws AppError `not_found` for another user's id, exactly as for an unknown id.
 */
export function requireVisible(c: ApiContext, caller: Principal): string {
  return caller.kind === 'user' ? requireSelf(c, caller) : readPathUuid(c, 'id')
}

/**
 * Returns the id of the user in the path, which must be the caller's own or `me`.
 *
 * @throws AppError `not_found` for any other id.
 */
export function requireSelf(c: ApiContext, caller: UserPrincipal): string {
  if (c.req.param('id') === 'me') return caller.userId
  if (readPathUuid(c, 'id') !== caller.userId) throw notFound()
  return caller.userId
}

/** The refusal of a change whose user or session ended while the request was being read. */
export const refuseChange = (why: 'unknown_user' | 'session_ended'): AppError =>
  why === 'unknown_user' ? notFound() : new AppError('unauthorized', 'The session has ended.')
