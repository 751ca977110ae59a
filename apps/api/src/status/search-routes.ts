import type { Database } from '@tidings/db/database'
import { lookUpNotifications } from '@tidings/db/events/look-up-notifications'
import { searchEvents } from '@tidings/db/events/search-events'
import { AppError } from '@tidings/shared/errors'
import { summarizeNotification } from '@tidings/shared/notification-summary'
import { digestRecipient } from '@tidings/shared/recipient'
import {
  LIMITS,
  NOTIFICATION_TYPES,
  notificationTypeSchema,
  statusSchema,
  userIdSchema,
} from '@tidings/shared/status-event'
import { Hono } from 'hono'
import { z } from 'zod'
import type { Authorize } from '../http/authorize.ts'
import type { ApiEnv } from '../http/context.ts'
import { pageQuery, toPage } from '../http/paging.ts'
import { MAX_BATCH_BODY_BYTES, readJson } from '../http/read-json.ts'
import { queryTime, readQuery, requireOrder } from '../http/read-query.ts'
import type { ReadStale } from '../http/read-stale.ts'
import { success } from '../http/respond.ts'

export interface SearchDeps {
  authorize: Authorize
  db: Database
  readStale: ReadStale
  /** See digestRecipient. */
  recipientKey: string
}

/** A shorter prefix could match any event. */
const MIN_PREFIX_LENGTH = 3
/** The longest time that a search without a selective filter reads. */
export const MAX_SEARCH_DAYS = 31
const DAY_MS = 86_400_000
/** Most notifications in one look-up. */
const MAX_LOOKUP = 500

const text = (max: number, min = 1) => z.string().min(min).max(max).optional()

/** Each has an index that finds its events. */
const selectiveFields = {
  user_id: userIdSchema.optional(),
  recipient: text(LIMITS.recipientLength).describe('The address or the push token that the message went to.'),
  provider_message_id: text(LIMITS.notificationIdLength),
  notification_id: text(LIMITS.notificationIdLength),
  notification_id_prefix: text(LIMITS.notificationIdLength, MIN_PREFIX_LENGTH),
  error_code: text(LIMITS.errorCodeLength),
}
type SelectiveField = keyof typeof selectiveFields
const SELECTIVE_FIELDS = Object.keys(selectiveFields) as SelectiveField[]

/** Query of GET /api/v1/events/. */
export const eventSearchQuerySchema = z.strictObject({
  ...selectiveFields,
  provider: text(LIMITS.providerLength),
  source: text(LIMITS.notificationIdLength),
  status: statusSchema.optional(),
  type: notificationTypeSchema.optional(),
  from: queryTime.optional(),
  to: queryTime.optional(),
  ...pageQuery,
})
type EventSearchQuery = z.infer<typeof eventSearchQuerySchema>

/** Body of POST /api/v1/notifications/lookup/. */
export const lookupBodySchema = z.strictObject({
  notifications: z
    .array(
      z.strictObject({
        notification_id: z.string().min(1).max(LIMITS.notificationIdLength),
        notification_type: notificationTypeSchema,
      }),
    )
    .min(1)
    .max(MAX_LOOKUP),
})

/** Searches the events of all users, and looks up many notifications at once. */
export function searchRoutes({ authorize, db, readStale, recipientKey }: SearchDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })

  app.get('/api/v1/events', async (c) => {
    await authorize.service(c, 'status:read')
    const query = readQuery(c, eventSearchQuerySchema)
    requireOrder(query)
    requireBounds(query)
    const { limit, cursor, type, recipient } = query
    const search = {
      type,
      userId: query.user_id,
      recipients:
        recipient === undefined
          ? undefined
          : NOTIFICATION_TYPES.filter((channel) => type === undefined || channel === type).map((channel) =>
              digestRecipient(recipientKey, channel, recipient),
            ),
      notificationId: query.notification_id,
      notificationIdPrefix: query.notification_id_prefix,
      provider: query.provider,
      providerMessageId: query.provider_message_id,
      source: query.source,
      status: query.status,
      errorCode: query.error_code,
      from: query.from,
      to: query.to,
    }
    const after = cursor && { timestamp: cursor.time, id: cursor.id }
    const found = await readStale(c, (replica) => searchEvents(replica, search, { limit: limit + 1, after }))
    const { rows, meta } = toPage(found, limit, ({ timestamp, id }) => ({ time: new Date(timestamp), id }))
    return success(200, 'Events.', rows, meta)
  })

  app.post('/api/v1/notifications/lookup', async (c) => {
    await authorize.service(c, 'status:read')
    const { notifications } = await readJson(c, lookupBodySchema, { maxBytes: MAX_BATCH_BODY_BYTES })
    const found = await lookUpNotifications(db, notifications)
    const summaries = found.map((events) => summarizeNotification({ timeline: events, deciding: events }))
    return success(
      200,
      'Notifications.',
      summaries.map((summary) => summary ?? null),
    )
  })

  return app
}

/** @throws AppError `validation_failed` for a search that could read every event. */
function requireBounds(query: EventSearchQuery): void {
  if (SELECTIVE_FIELDS.some((field) => query[field] !== undefined)) return
  const { from, to = new Date() } = query
  if (from !== undefined && to.getTime() - from.getTime() <= MAX_SEARCH_DAYS * DAY_MS) return
  const message =
    `Give at least one of ${SELECTIVE_FIELDS.join(', ')}; or a time range of at most ${MAX_SEARCH_DAYS} days: ` +
    '`from`, and `to` unless it ends now.'
  const code = from === undefined ? 'required' : 'too_big'
  throw new AppError('validation_failed', message, { fields: [{ pointer: '/from', code, message }] })
}
