import type { Database } from '@tidings/db/database'
import { listUserEvents, readNotifications } from '@tidings/db/events/notifications'
import { AppError } from '@tidings/shared/errors'
import { summarizeNotification } from '@tidings/shared/notification-summary'
import { LIMITS, notificationTypeSchema, statusSchema } from '@tidings/shared/status-event'
import { Hono } from 'hono'
import { z } from 'zod'
import type { Authorize } from '../http/authorize.ts'
import type { ApiEnv } from '../http/context.ts'
import { pageQuery, toPage } from '../http/paging.ts'
import { notFound, queryTime, readQuery, requireOrder } from '../http/read-query.ts'
import type { ReadStale } from '../http/read-stale.ts'
import { success } from '../http/respond.ts'

export interface StatusReadDeps {
  authorize: Authorize
  db: Database
  readStale: ReadStale
}

/** Query of GET /api/v1/status/history/. */
export const historyQuerySchema = z.strictObject({
  type: notificationTypeSchema.optional(),
  status: statusSchema.optional(),
  from: queryTime.optional(),
  to: queryTime.optional(),
  ...pageQuery,
})

/** Query of GET /api/v1/notifications/{notification_id}/. */
export const notificationQuerySchema = z.strictObject({ type: notificationTypeSchema.optional() })

/** Reads one notification with its timeline, or a user's own history. */
export function statusReadRoutes({ authorize, db, readStale }: StatusReadDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })

  app.get('/api/v1/notifications/:notification_id', async (c) => {
    const caller = await authorize.userOrService(c, 'status:read')
    const { type } = readQuery(c, notificationQuerySchema)
    const notificationId = c.req.param('notification_id')
    if (notificationId.length > LIMITS.notificationIdLength || notificationId.includes('\0')) throw notFound()
    const found = await readNotifications(db, notificationId, type && [type])
    const notifications = found.flatMap(({ timeline, deciding }) => {
      const summary = summarizeNotification({ timeline, deciding })
      // A user's notifications alone: those of others look absent.
      const isVisible = caller.kind !== 'user' || summary?.user_id === caller.userId
      return summary !== undefined && isVisible ? [{ ...summary, timeline }] : []
    })
    const [notification, ...others] = notifications
    if (notification === undefined) throw notFound()
    if (others.length > 0) throw ambiguousId()
    return success(200, 'Notification found.', notification)
  })

  app.get('/api/v1/status/history', async (c) => {
    const { userId } = await authorize.user(c)
    const { limit, cursor, ...filter } = readQuery(c, historyQuerySchema)
    requireOrder(filter)
    const after = cursor && { timestamp: cursor.time, id: cursor.id }
    const found = await readStale(c, (replica) =>
      listUserEvents(replica, userId, filter, { limit: limit + 1, after }),
    )
    const { rows, meta } = toPage(found, limit, ({ timestamp, id }) => ({ time: new Date(timestamp), id }))
    return success(200, 'Status history.', rows, meta)
  })

  return app
}

function ambiguousId(): AppError {
  const message = 'Notifications of several types have this id. Add ?type=email or ?type=push.'
  return new AppError('validation_failed', message, {
    fields: [{ pointer: '/type', code: 'required', message }],
  })
}
