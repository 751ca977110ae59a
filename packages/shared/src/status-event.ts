import { z } from 'zod'
import { findUnsafeJson, hasUnsafeInteger } from './json.ts'
import { optional } from './optional.ts'

export const NOTIFICATION_TYPES = ['email', 'push'] as const
export type NotificationType = (typeof NOTIFICATION_TYPES)[number]

/** Outcomes of a delivery. One of these is a notification's current status. */
export const DELIVERY_STATUSES = [
  'pending',
  'sent',
  'deferred',
  'delivered',
  'failed',
  'bounced',
  'suppressed',
  'complained',
] as const
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number]

/** Actions of the recipient. Kept as times beside the current status, never as the status itself. */
export const ENGAGEMENTS = ['opened', 'clicked', 'unsubscribed'] as const
export type Engagement = (typeof ENGAGEMENTS)[number]

export const STATUSES = [...DELIVERY_STATUSES, ...ENGAGEMENTS] as const
export type Status = (typeof STATUSES)[number]

/** Statuses that require `error`. */
export const STATUSES_WITH_ERROR: readonly Status[] = ['failed', 'bounced']

export const LIMITS = {
  /** Most events in one job and in one batch request. */
  envelopeEvents: 500,
  notificationIdLength: 255,
  eventIdLength: 128,
  errorLength: 4096,
  errorCodeLength: 128,
  providerLength: 128,
  recipientLength: 4096,
  categoryLength: 64,
  metadataBytes: 4096,
  /** PostgreSQL `integer`. */
  int: 2_147_483_647,
  /** How far ahead of the server's clock a producer's timestamp may be, in milliseconds. */
  timestampAheadMs: 24 * 60 * 60 * 1000,
} as const

export const ERROR_CLASSES = ['transient', 'permanent', 'config'] as const
export type ErrorClass = (typeof ERROR_CLASSES)[number]

/** Schemas with an `id` become named types of generated clients. */
export const errorClassSchema = z.enum(ERROR_CLASSES).meta({ id: 'ErrorClass' })
export const statusSchema = z.enum(STATUSES).meta({ id: 'Status' })
export const notificationTypeSchema = z.enum(NOTIFICATION_TYPES).meta({ id: 'NotificationType' })

const text = (max: number) => z.string().min(1).max(max)

/** The producer's text, or its parts when the producer could parse the provider's answer. */
export const deliveryErrorSchema = z.union(
  [
    text(LIMITS.errorLength),
    z.object({
      code: optional(text(LIMITS.errorCodeLength)),
      class: optional(errorClassSchema),
      message: text(LIMITS.errorLength),
    }),
  ],
  {
    error:
      `Must be text of 1 to ${LIMITS.errorLength} characters, or an object with such a message and, where known, a ` +
      `code (text of 1 to ${LIMITS.errorCodeLength} characters) and a class (${ERROR_CLASSES.join(', ')}).`,
  },
)
export type DeliveryError = z.infer<typeof deliveryErrorSchema>

const EARLIEST_TIME = Date.UTC(1970, 0, 1)
const LATEST_TIME = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

/** Whether the time (milliseconds since 1970) lies in the years 1970 to 9999, which every store can hold. */
export const isUsableTime = (ms: number): boolean => ms >= EARLIEST_TIME && ms <= LATEST_TIME

const { datetime } = z.regexes
/** Java leaves out seconds that are zero. */
const WITHOUT_SECONDS = datetime({ offset: true, precision: -1 })
const OFFSET_TIME = new RegExp(`${datetime({ offset: true }).source}|${WITHOUT_SECONDS.source}`)

/** ISO 8601 with an offset. */
export const offsetTimeSchema = z
  .string()
  .regex(OFFSET_TIME, { error: 'Use ISO 8601 with an offset, for example 2026-01-31T12:00:00Z.' })
  .meta({ format: 'date-time' })

/** A time from 1970 to 24 hours ahead. Converted to UTC with milliseconds. */
const timestampSchema = offsetTimeSchema
  .refine(
    (value) => {
      const time = Date.parse(value)
      return isUsableTime(time) && time <= Date.now() + LIMITS.timestampAheadMs
    },
    { error: 'The timestamp must be after 1970 and at most 24 hours ahead.' },
  )
  .transform((value) => new Date(value).toISOString())

/** Usable whatever the offset. A text comparison, because parsing every time of every event is measurable. */
const isWellInside = (iso: string) => iso > '1970-01-03' && iso < '9999-12-29'

/** A stored time. Not compared with the clock: an accepted time stays valid. */
const storedTimeSchema = offsetTimeSchema.refine(
  (value) => isWellInside(value) || isUsableTime(Date.parse(value)),
  {
    error: 'The time must be from 1970 to 9999.',
  },
)

/** Clients and proxies resolve these in a URL, so GET /notifications/{id} could never name them. */
const PATH_SEGMENTS: readonly string[] = ['.', '..']
const notificationIdSchema = text(LIMITS.notificationIdLength).refine(
  (value) => !PATH_SEGMENTS.includes(value),
  { error: 'Must not be a dot or two.' },
)

export const userIdSchema = z.guid({ error: 'Use a UUID.' }).transform((value) => value.toLowerCase())

const metadataSchema = z
  .record(z.string(), z.unknown())
  .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= LIMITS.metadataBytes, {
    error: `Metadata must be at most ${LIMITS.metadataBytes} bytes of JSON.`,
  })
  .refine((value) => !hasUnsafeInteger(value), {
    error: 'Whole numbers in metadata must be within ±(2^53 - 1). Send larger ones as text.',
    params: { code: 'number_out_of_range' },
  })

const attemptSchema = z
  .int()
  .min(0)
  .max(LIMITS.int)
  .describe(
    'The number of this sending of the notification by your system. Never the retry count of a provider.',
  )

/** What kind of message it is, such as `newsletter`. */
export const categorySchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.-]*$/, { error: 'Use lower-case letters, digits, and . _ - after the first.' })
  .max(LIMITS.categoryLength)

const reportFields = {
  notification_id: notificationIdSchema,
  status: statusSchema,
  user_id: optional(userIdSchema),
  error: optional(deliveryErrorSchema),
  timestamp: optional(timestampSchema),
  event_id: optional(text(LIMITS.eventIdLength)),
  attempt: optional(attemptSchema),
  provider: optional(text(LIMITS.providerLength)),
  provider_message_id: optional(text(LIMITS.notificationIdLength)),
  category: optional(categorySchema),
  metadata: optional(metadataSchema),
}

/** The address or push token that the message went to. Only its keyed digest is kept. */
const recipientSchema = optional(text(LIMITS.recipientLength))

const requiresError = (report: { status: Status; error?: unknown }) =>
  report.error !== undefined || !STATUSES_WITH_ERROR.includes(report.status)
const missingError = {
  path: ['error'],
  error: 'This status requires an error.',
  params: { code: 'missing_error' },
}

/**
 * A status as a producer reports it: the body of POST /api/v1/{type}/status/. Unknown fields are dropped, because
 * producers may add fields before this service knows them.
 */
export const statusReportSchema = z
  .object({ ...reportFields, recipient: recipientSchema })
  .refine(requiresError, missingError)
export type StatusReport = z.infer<typeof statusReportSchema>

/** A report as a producer puts it onto the queue by itself: with its type, and the name of its source if it has one. */
const bareEventFields = {
  ...reportFields,
  recipient: recipientSchema,
  notification_type: notificationTypeSchema,
  source: optional(text(LIMITS.notificationIdLength)),
}
export const bareEventSchema = z.object(bareEventFields).refine(requiresError, missingError)
export const BARE_EVENT_FIELDS: readonly string[] = Object.keys(bareEventFields)

/** What the API adds to a report. */
const acceptedFields = {
  ...reportFields,
  id: z.guid().transform((value) => value.toLowerCase()),
  notification_type: notificationTypeSchema,
  /** Name of the service key or the hook that reported the event. */
  source: text(LIMITS.notificationIdLength),
  received_at: storedTimeSchema,
  /** The producer's time, or received_at when it gave none. */
  timestamp: storedTimeSchema,
  /** Digest of the content, for events with an idempotency key: tells a repeat from a conflict. */
  content_hash: optional(z.string().regex(/^[0-9a-f]{32}$/)),
  /** Keyed digest of the recipient; see digestRecipient. */
  recipient_digest: optional(z.string().regex(/^[0-9a-f]{64}$/)),
  /** Set when the reporter may suppress recipients; see signFeedback. Anything else in it counts as absent. */
  feedback: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional()
    .catch(undefined),
  /** How often an operator redrove it. */
  redrives: optional(z.int().min(1)),
}

/** Producers in any language may enqueue jobs. Refuse here what PostgreSQL cannot store. */
function refuseUnsafeText(event: object, context: z.RefinementCtx): void {
  const unsafe = findUnsafeJson(event)
  if (unsafe === undefined) return
  const [, field] = unsafe.pointer.split('/')
  context.addIssue({ code: 'custom', path: field === undefined ? [] : [field], message: unsafe.message })
}

/**
 * An accepted event, as the queue carries it and PostgreSQL stores it. `id` is fixed before the first enqueue. Only
 * the id tells two deliveries of one event from two events.
 */
export const statusEventSchema = z
  .object(acceptedFields)
  .refine(requiresError, missingError)
  .superRefine(refuseUnsafeText)
export type StatusEvent = z.infer<typeof statusEventSchema>

/**
 * An accepted event of a provider that names its message only. The worker finds the notification: an earlier event of
 * the message names it.
 */
export const unresolvedEventSchema = z
  .object({
    ...acceptedFields,
    notification_id: z.undefined().optional(),
    provider: text(LIMITS.providerLength),
    provider_message_id: text(LIMITS.notificationIdLength),
  })
  .refine(requiresError, missingError)
  .superRefine(refuseUnsafeText)
export type UnresolvedEvent = z.infer<typeof unresolvedEventSchema>

/** A report of a provider that names its message only. */
export type UnresolvedReport = Omit<StatusReport, 'notification_id'> &
  Pick<UnresolvedEvent, 'notification_id' | 'provider' | 'provider_message_id'>

/**
 * What a provider reported and its receiver could not read as events: one dead letter. It has no id of its own, so the
 * worker makes one from its content. createUnreadableItem makes it.
 */
export const unreadableItemSchema = z.object({
  /** The problem: fields and rules, without values. */
  unreadable: text(LIMITS.errorLength),
  provider: text(LIMITS.providerLength),
  /** Name of the hook. */
  source: text(LIMITS.notificationIdLength),
  received_at: storedTimeSchema,
  payload: z.unknown(),
})
export type UnreadableItem = z.infer<typeof unreadableItemSchema>

/** What the API accepts: the worker makes a row or a dead letter of each. */
export type AcceptedItem = StatusEvent | UnresolvedEvent | UnreadableItem

/** Whether the item names its notification, so that it can be stored as it is. */
export const isStatusEvent = (item: AcceptedItem): item is StatusEvent =>
  'notification_id' in item && item.notification_id !== undefined

/** A job's data. `events` are parsed one by one, so an invalid event does not fail the others. */
export const envelopeSchema = z.object({
  v: z.literal(1),
  events: z.array(z.unknown()).min(1).max(LIMITS.envelopeEvents),
})

export interface Envelope {
  v: 1
  events: AcceptedItem[]
}
