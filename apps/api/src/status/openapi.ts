import { MAX_TIMELINE } from '@tidings/db/events/notifications'
import {
  DELIVERY_STATUSES,
  errorClassSchema,
  LIMITS,
  NOTIFICATION_TYPES,
  type NotificationType,
  notificationTypeSchema,
  statusReportSchema,
  statusSchema,
} from '@tidings/shared/status-event'
import { z } from 'zod'
import { fieldErrorSchema } from '../http/problem.ts'
import type { Operation } from '../openapi/operation.ts'
import { historyQuerySchema, notificationQuerySchema } from './read-routes.ts'
import { MAX_BATCH_KEY_LENGTH } from './report-routes.ts'

const errorSchema = z
  .union([
    z.string(),
    z
      .strictObject({
        code: z.string().optional(),
        class: errorClassSchema.optional(),
        message: z.string(),
      })
      .meta({ id: 'DeliveryError' }),
  ])
  .nullable()
const instantSchema = z.iso.datetime()

/** Written out for the document: the route validates the events one by one. */
const reportBodySchema = statusReportSchema.meta({ id: 'StatusReport' })
const batchBodySchema = z
  .object({ events: z.array(reportBodySchema).min(1).max(LIMITS.envelopeEvents) })
  .meta({ id: 'StatusBatch' })

const exampleReport = (type: NotificationType) => ({
  notification_id: 'notif-123',
  status: 'failed',
  error: { code: '550', class: 'permanent', message: 'unknown recipient' },
  event_id: `${type}-event-1`,
  attempt: 1,
  metadata: { campaign: 'spring' },
})

const acceptedSchema = {
  id: z.guid(),
  notification_id: z.string(),
  notification_type: notificationTypeSchema,
  status: statusSchema,
  timestamp: instantSchema,
  error: errorSchema,
}

const acceptedEventSchema = z.strictObject(acceptedSchema).meta({ id: 'AcceptedEvent' })

const batchResultSchema = z
  .union([
    z.strictObject({ accepted: z.literal(true), ...acceptedSchema }),
    z.strictObject({
      accepted: z.literal(false),
      error: z.string(),
      message: z.string(),
      errors: z.array(fieldErrorSchema),
    }),
  ])
  .meta({ id: 'BatchResult' })

export const storedEventSchema = z
  .strictObject({
    ...acceptedSchema,
    user_id: z.guid().nullable(),
    received_at: instantSchema,
    source: z.string(),
    event_id: z.string().nullable(),
    attempt: z.int().nullable(),
    provider: z.string().nullable(),
    provider_message_id: z.string().nullable(),
    category: z.string().nullable(),
    metadata: z.unknown(),
  })
  .meta({ id: 'StatusEvent' })

const deliveryStatusSchema = z.enum(DELIVERY_STATUSES).meta({ id: 'DeliveryStatus' })

const summarySchema = {
  notification_id: z.string(),
  notification_type: notificationTypeSchema,
  user_id: z.guid().nullable(),
  status: deliveryStatusSchema.nullable(),
  opened_at: instantSchema.nullable(),
  clicked_at: instantSchema.nullable(),
  unsubscribed_at: instantSchema.nullable(),
  explain: z.string(),
}

export const notificationSummarySchema = z.strictObject(summarySchema).meta({ id: 'NotificationSummary' })

const notificationSchema = z
  .strictObject({
    ...summarySchema,
    timeline: z
      .array(storedEventSchema)
      .describe(`The oldest ${MAX_TIMELINE} events. All events count for the status.`),
  })
  .meta({ id: 'Notification' })

function reportOperations(type: NotificationType): Operation[] {
  const report = {
    method: 'post',
    tag: 'status',
    access: [`status:write:${type}`],
  } as const
  const keyOf = (max: number) => ({
    'Idempotency-Key': `1 to ${max} visible ASCII characters. A repeat with the same key stores nothing.`,
  })
  const noun = `${type} notification`
  const id = type === 'email' ? 'reportEmailStatus' : 'reportPushStatus'
  return [
    {
      ...report,
      id,
      path: `/api/v1/${type}/status`,
      headers: keyOf(LIMITS.eventIdLength),
      summary: `Report the status of one ${noun}`,
      description: 'Unknown fields are ignored.',
      body: reportBodySchema,
      example: exampleReport(type),
      answers: { 202: { description: 'The event is durable.', data: acceptedEventSchema } },
      errors: ['invalid_status', 'missing_error', 'conflict', 'rate_limited', 'overloaded'],
    },
    {
      ...report,
      id: `${id}Batch`,
      path: `/api/v1/${type}/status/batch`,
      headers: keyOf(MAX_BATCH_KEY_LENGTH),
      summary: `Report the status of up to 500 ${noun}s`,
      description: 'Each event is validated separately. The results have the order of the events.',
      body: batchBodySchema,
      example: { events: [exampleReport(type), { notification_id: 'notif-124', status: 'delivered' }] },
      answers: { 202: { description: 'One result per event.', data: z.array(batchResultSchema) } },
      errors: ['rate_limited', 'overloaded'],
    },
  ]
}

export const statusOperations: readonly Operation[] = [
  ...NOTIFICATION_TYPES.flatMap(reportOperations),
  {
    id: 'listStatusHistory',
    method: 'get',
    path: '/api/v1/status/history',
    tag: 'status',
    summary: "The caller's own events, newest first",
    access: ['user'],
    query: historyQuerySchema,
    answers: { 200: { description: 'A page of events.', list: storedEventSchema } },
  },
  {
    id: 'readNotification',
    method: 'get',
    path: '/api/v1/notifications/:notification_id',
    tag: 'status',
    summary: 'The current status of a notification, with its reason and timeline',
    access: ['user', 'status:read'],
    query: notificationQuerySchema,
    answers: { 200: { description: 'The notification.', data: notificationSchema } },
  },
]
