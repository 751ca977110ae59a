import type { AskDeliverability } from '@tidings/accounts/deliverability'
import type { Database } from '@tidings/db/database'
import { listUsers, updateUser } from '@tidings/db/users/users'
import { optional } from '@tidings/shared/optional'
import { categorySchema, userIdSchema } from '@tidings/shared/status-event'
import {
  MAX_PREFERENCES_BATCH,
  pushTokenUpdateSchema,
  type User,
  type UserUpdate,
  userUpdateSchema,
} from '@tidings/shared/user'
import { Hono } from 'hono'
import { z } from 'zod'
import type { CachedUser, Caches } from '../cache/caches.ts'
import { andThen } from '../http/and-then.ts'
import type { Authorize } from '../http/authorize.ts'
import type { ApiContext, ApiEnv } from '../http/context.ts'
import { pageQuery, toPage } from '../http/paging.ts'
import type { UserPrincipal } from '../http/principal.ts'
import { readJson } from '../http/read-json.ts'
import { notFound, readPathUuid, readQuery } from '../http/read-query.ts'
import { success } from '../http/respond.ts'
import { refuseChange, requireSelf, requireVisible } from './path-user.ts'
import { renderUser } from './render-user.ts'
import { requireCategories, requireCategory } from './require-categories.ts'
import { toUser } from './to-user.ts'

export interface UserRouteDeps {
  authorize: Authorize
  db: Database
  caches: Caches
  askDeliverability: AskDeliverability
}

export const userListQuerySchema = z.strictObject(pageQuery)

export const preferencesBatchSchema = z.strictObject({
  user_ids: z.array(userIdSchema).min(1).max(MAX_PREFERENCES_BATCH),
  category: optional(categorySchema),
})

/** Query of GET /api/v1/users/{id}/preferences/. */
export const preferencesQuerySchema = z.strictObject({ category: categorySchema.optional() })

/** Routes that read and change users. */
export function userRoutes({ authorize, db, caches, askDeliverability }: UserRouteDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })

  app.get('/api/v1/users', async (c) => {
    await authorize.service(c, 'users:read')
    const { limit, cursor } = readQuery(c, userListQuerySchema)
    const after = cursor && { createdAt: cursor.time, id: cursor.id }
    const found = await listUsers(db, { limit: limit + 1, after })
    const { rows, meta } = toPage(found, limit, ({ createdAt, id }) => ({ time: createdAt, id }))
    return success(200, 'Users.', rows.map(toUser), meta)
  })

  app.post('/api/v1/users/preferences/batch', async (c) => {
    await authorize.service(c, 'users:read')
    const body = await readJson(c, preferencesBatchSchema)
    const ids = [...new Set(body.user_ids)]
    const category = await readCategory(body.category)
    const found = await Promise.all(ids.map((id) => caches.users.get(id)))
    const answers = await askDeliverability(
      ids.map((id, index) => ({ id, found: found[index] })),
      category,
    )
    return success(200, 'Preferences.', answers)
  })

  // No await: with the session and the user in memory, the answer is ready in the same turn.
  app.get('/api/v1/users/:id', (c) =>
    andThen(authorize.userOrService(c, 'users:read'), (caller) =>
      andThen(caches.users.get(requireVisible(c, caller)), (found) => showUser(c, found)),
    ),
  )

  app.get('/api/v1/users/:id/preferences', async (c) => {
    await authorize.service(c, 'users:read')
    const query = readQuery(c, preferencesQuerySchema)
    const id = readPathUuid(c, 'id')
    const found = await caches.users.get(id)
    if (found === undefined) throw notFound()
    const [answer] = await askDeliverability([{ id, found }], await readCategory(query.category))
    return success(200, 'Preferences.', answer)
  })

  const readCategory = async (key: string | undefined) =>
    key === undefined ? undefined : requireCategory(db, key, '/category')

  async function change(caller: UserPrincipal, update: UserUpdate): Promise<User> {
    const { categories = {} } = update.preferences ?? {}
    await requireCategories(db, Object.keys(categories), '/preferences/categories')
    const updated = await updateUser(db, caller, update)
    if (updated.outcome !== 'updated') throw refuseChange(updated.outcome)
    await caches.users.invalidate([caller.userId, ...updated.takenFrom])
    return toUser(updated.user)
  }

  app.patch('/api/v1/users/:id', async (c) => {
    const caller = await authorize.user(c)
    requireSelf(c, caller)
    return success(200, 'User updated.', await change(caller, await readJson(c, userUpdateSchema)))
  })

  app.patch('/api/v1/users/:id/update_push_token', async (c) => {
    const caller = await authorize.user(c)
    requireSelf(c, caller)
    return success(200, 'Push token updated.', await change(caller, await readJson(c, pushTokenUpdateSchema)))
  })

  return app
}

function showUser(c: ApiContext, found: CachedUser | undefined): Response {
  if (found === undefined) throw notFound()
  const { body, etag } = renderUser(found)
  // The client must revalidate each time: its copy may be out of date.
  const headers = { etag, 'cache-control': 'private, no-cache' }
  if (isCurrent(c, etag)) return new Response(null, { status: 304, headers })
  return new Response(body, { headers: { ...headers, 'content-type': 'application/json; charset=utf-8' } })
}

/** Compares If-None-Match weakly (RFC 9110, section 13.1.2). */
function isCurrent(c: ApiContext, etag: string): boolean {
  const header = c.env.incoming.headers['if-none-match']
  if (header === undefined) return false
  return header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag || tag.trim() === '*')
}
