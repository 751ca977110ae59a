import type { Database } from '@tidings/db/database'
import { findSuppressions } from '@tidings/db/suppressions/find-suppressions'
import {
  addAuditedSuppressions,
  liftSuppressions,
  listSuppressions,
} from '@tidings/db/suppressions/suppressions'
import { AppError } from '@tidings/shared/errors'
import { categorySchema, notificationTypeSchema } from '@tidings/shared/status-event'
import {
  digestSchema,
  type SuppressionState,
  suppressionAddSchema,
  suppressionCheckSchema,
  suppressionLiftSchema,
  suppressionReasonSchema,
} from '@tidings/shared/suppression'
import { Hono } from 'hono'
import { z } from 'zod'
import type { Authorize } from '../http/authorize.ts'
import type { ApiEnv } from '../http/context.ts'
import { pageQuery, toPage } from '../http/paging.ts'
import { MAX_BATCH_BODY_BYTES, readJson } from '../http/read-json.ts'
import { notFound, readQuery } from '../http/read-query.ts'
import { success } from '../http/respond.ts'
import { RecipientFinder } from './find-recipients.ts'

export interface SuppressionRouteDeps {
  authorize: Authorize
  db: Database
  /** See digestRecipient. */
  recipientKey: string
}

/** Query of GET /api/v1/suppressions/. An address is no filter: a URL ends in the logs of proxies. */
export const suppressionListQuerySchema = z.strictObject({
  channel: notificationTypeSchema.optional(),
  reason: suppressionReasonSchema.optional(),
  category: categorySchema.optional(),
  digest: digestSchema.optional(),
  ...pageQuery,
})

/** Routes that list, add, lift and check suppressions. */
export function suppressionRoutes({ authorize, db, recipientKey }: SuppressionRouteDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })
  const recipients = new RecipientFinder({ db, recipientKey })

  app.get('/api/v1/suppressions', async (c) => {
    await authorize.service(c, 'suppressions:read')
    const { limit, cursor, ...filter } = readQuery(c, suppressionListQuerySchema)
    const after = cursor && { since: cursor.time, id: cursor.id }
    const found = await listSuppressions(db, filter, { limit: limit + 1, after })
    const { rows, meta } = toPage(found, limit, ({ since, id }) => ({ time: since, id }))
    return success(200, 'Suppressions.', rows, meta)
  })

  app.post('/api/v1/suppressions', async (c) => {
    const { name } = await authorize.service(c, 'suppressions:write')
    const body = await readJson(c, suppressionAddSchema)
    const { channel, reason, category = null, until = null, note = null } = body
    const digests = await recipients.requireDigests(body)
    const { suppressions, changed } = await addAuditedSuppressions(
      db,
      { channel, digests, reason, category },
      { origin: name, since: new Date(), until, note },
      { actor: name, action: 'suppressions.add' },
    )
    return success(changed > 0 ? 201 : 200, 'Suppressed.', suppressions)
  })

  app.delete('/api/v1/suppressions', async (c) => {
    const { name } = await authorize.service(c, 'suppressions:write')
    const body = await readJson(c, suppressionLiftSchema)
    const { channel, reason, category, note } = body
    const digests = await recipients.requireDigests(body)
    const selection = { channel, digests, reason, category }
    const audit = { actor: name, action: 'suppressions.lift' }
    const result = await liftSuppressions(db, selection, note, audit)
    if (result.outcome === 'absent') throw notFound()
    if (result.outcome === 'note_required') throw noteRequired()
    return success(200, 'Lifted.', result.suppressions)
  })

  app.post('/api/v1/suppressions/check', async (c) => {
    await authorize.service(c, 'suppressions:read')
    const body = await readJson(c, suppressionCheckSchema, { maxBytes: MAX_BATCH_BODY_BYTES })
    const { channel, category, recipients: named, user_ids = [] } = body
    const ofUsers = await recipients.findByUser(channel, user_ids)
    const asked =
      named?.map((recipient) => ({ user_id: null, digests: [recipients.digest(channel, recipient)] })) ??
      user_ids.map((user_id) => ({ user_id, digests: ofUsers.get(user_id) ?? [] }))
    const flat = asked.flatMap(({ digests }) => digests.map((digest) => ({ channel, digest })))
    const found = await findSuppressions(db, flat, category)
    const states = asked.map(({ user_id, digests }): SuppressionState => {
      const lists = found.splice(0, digests.length)
      const free = lists.findIndex((list) => list.length === 0)
      // One token that is not suppressed is enough to reach a user.
      const index = free === -1 ? 0 : free
      const [first] = lists[index] ?? []
      return {
        user_id,
        digest: digests[index] ?? null,
        suppressed: first !== undefined,
        reason: first?.reason ?? null,
        since: first?.since.toISOString() ?? null,
        until: first?.until?.toISOString() ?? null,
      }
    })
    return success(200, 'Checked.', states)
  })

  return app
}

function noteRequired(): AppError {
  const message = 'Say why a complaint is lifted.'
  return new AppError('validation_failed', message, {
    fields: [{ pointer: '/note', code: 'required', message }],
  })
}
