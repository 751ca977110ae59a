import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'
import { notificationSummarySchema, storedEventSchema } from './openapi.ts'
import { eventSearchQuerySchema, lookupBodySchema, MAX_SEARCH_DAYS } from './search-routes.ts'

export const searchOperations: readonly Operation[] = [
  {
    id: 'searchEvents',
    method: 'get',
    path: '/api/v1/events',
    tag: 'status',
    summary: 'Search the events of all users, newest first',
    description:
      'All conditions must hold. At least one of user_id, recipient, provider_message_id, notification_id, ' +
      `notification_id_prefix and error_code is needed, or a time range of at most ${MAX_SEARCH_DAYS} days. ` +
      'The recipient is compared by its keyed digest, and no answer shows it.',
    access: ['status:read'],
    query: eventSearchQuerySchema,
    answers: { 200: { description: 'A page of events.', list: storedEventSchema } },
  },
  {
    id: 'lookUpNotifications',
    method: 'post',
    path: '/api/v1/notifications/lookup',
    tag: 'status',
    summary: 'The current status of up to 500 notifications',
    description: 'The answers have the order of the request. The answer for an unknown notification is null.',
    access: ['status:read'],
    body: lookupBodySchema.meta({ id: 'NotificationLookup' }),
    example: { notifications: [{ notification_id: 'notif-123', notification_type: 'email' }] },
    answers: {
      200: {
        description: 'One answer per notification.',
        data: z.array(notificationSummarySchema.nullable()),
      },
    },
  },
]
