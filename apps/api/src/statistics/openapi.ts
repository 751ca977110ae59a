import { COUNT_GROUPINGS, MAX_COUNTED_DAYS, MAX_COUNTS } from '@tidings/db/events/status-counts'
import { errorClassSchema, notificationTypeSchema, statusSchema } from '@tidings/shared/status-event'
import { z } from 'zod'
import type { Operation } from '../openapi/operation.ts'
import { granularitySchema, statsQuerySchema } from './stats-routes.ts'

const instantSchema = z.iso.datetime()
const nameSchema = z.string().nullable()

const statusCountSchema = z
  .strictObject({
    start: instantSchema.optional().describe('Start of the hour or day, in UTC. Only with `granularity`.'),
    type: notificationTypeSchema.optional(),
    provider: nameSchema.optional(),
    source: z.string().optional(),
    category: nameSchema.optional(),
    status: statusSchema.optional(),
    error_class: errorClassSchema.nullable().optional(),
    count: z.int(),
  })
  .meta({
    id: 'StatusCount',
    example: { start: '2026-01-31T00:00:00Z', provider: 'ses', status: 'bounced', count: 12 },
  })

const rateSchema = z.number().nullable().describe('Null when nothing was sent.')
const ratesSchema = z
  .strictObject({
    sent: z.int().describe('The events `sent`, or `delivered` and `bounced` together where these are more.'),
    bounced: z.int(),
    complained: z.int(),
    bounce_rate: rateSchema,
    complaint_rate: rateSchema,
  })
  .meta({
    id: 'DeliveryRates',
    example: { sent: 1_000, bounced: 12, complained: 1, bounce_rate: 0.012, complaint_rate: 0.001 },
  })

const statsMetaSchema = z
  .strictObject({
    from: instantSchema,
    to: instantSchema,
    granularity: granularitySchema.nullable(),
    group_by: z.array(z.enum(COUNT_GROUPINGS)),
    rates: z.strictObject({ email: ratesSchema, push: ratesSchema }),
  })
  .meta({ id: 'StatsMeta' })

export const statsOperations: readonly Operation[] = [
  {
    id: 'readStats',
    method: 'get',
    path: '/api/v1/stats',
    tag: 'status',
    summary: 'Counts of stored events, and the rates of bounces and complaints',
    description:
      'Counts are kept by the hour of receipt in UTC: the hours of `from` and `to` are included as a whole. At most ' +
      `${MAX_COUNTED_DAYS.day} days, or ${MAX_COUNTED_DAYS.hour} by the hour, and ${MAX_COUNTS} counts.`,
    access: ['stats:read'],
    query: statsQuerySchema,
    answers: { 200: { description: 'The counts.', list: statusCountSchema, meta: statsMetaSchema } },
  },
]
