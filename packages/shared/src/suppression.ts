import { z } from 'zod'
import { optional } from './optional.ts'
import {
  categorySchema,
  LIMITS,
  notificationTypeSchema,
  offsetTimeSchema,
  userIdSchema,
} from './status-event.ts'

/** Why a recipient is not sent to, the most serious first. */
export const SUPPRESSION_REASONS = ['complaint', 'bounce', 'manual', 'unsubscribe'] as const
export const suppressionReasonSchema = z.enum(SUPPRESSION_REASONS).meta({ id: 'SuppressionReason' })
export type SuppressionReason = (typeof SUPPRESSION_REASONS)[number]

/** The category of a suppression that applies to every message. */
export const EVERY_CATEGORY = ''

/** Most recipients in one question or one request for links. */
export const MAX_RECIPIENTS = 500

export const NOTE_LENGTH = 1024

/** 64 hex digits; see digestRecipient. */
export const digestSchema = z.string().regex(/^[0-9a-f]{64}$/, { error: 'Use 64 lower-case hex digits.' })

/** An address or push token. */
export const recipientSchema = z
  .string()
  .max(LIMITS.recipientLength)
  .refine((text) => text.trim() !== '', { error: 'Use an address or a push token.' })

/** When a suppression ends. */
const untilSchema = offsetTimeSchema
  .transform((text) => new Date(text))
  .refine((time) => time.getTime() > Date.now() && time.getUTCFullYear() <= 9999, {
    error: 'Use a time in the future.',
  })

const noteSchema = z.string().min(1).max(NOTE_LENGTH)

const exactlyOne = (names: readonly string[]) => ({
  path: [names[0] ?? ''],
  error: `Give exactly one of: ${names.join(', ')}.`,
  params: { code: 'required' },
})

const hasOne = (values: readonly unknown[]) => values.filter((value) => value !== undefined).length === 1

/** The body of POST /api/v1/suppressions/. */
export const suppressionAddSchema = z
  .strictObject({
    channel: notificationTypeSchema,
    recipient: optional(recipientSchema),
    user_id: optional(userIdSchema),
    reason: suppressionReasonSchema.default('manual'),
    /** Without it, the suppression applies to every message. */
    category: optional(categorySchema),
    /** Without it, the suppression stays until it is lifted. */
    until: optional(untilSchema),
    note: optional(noteSchema),
  })
  .refine(({ recipient, user_id }) => hasOne([recipient, user_id]), exactlyOne(['recipient', 'user_id']))

/** The body of DELETE /api/v1/suppressions/. */
export const suppressionLiftSchema = z
  .strictObject({
    channel: notificationTypeSchema,
    recipient: optional(recipientSchema),
    digest: optional(digestSchema),
    user_id: optional(userIdSchema),
    /** Lifts those of this reason only. */
    reason: optional(suppressionReasonSchema),
    /** Lifts those of this category only. */
    category: optional(categorySchema),
    /** Why. Needed to lift a complaint. */
    note: optional(noteSchema),
  })
  .refine(
    ({ recipient, digest, user_id }) => hasOne([recipient, digest, user_id]),
    exactlyOne(['recipient', 'digest', 'user_id']),
  )

/** The body of POST /api/v1/suppressions/check/. */
export const suppressionCheckSchema = z
  .strictObject({
    channel: notificationTypeSchema,
    recipients: optional(z.array(recipientSchema).min(1).max(MAX_RECIPIENTS)),
    user_ids: optional(z.array(userIdSchema).min(1).max(MAX_RECIPIENTS)),
    /** Looks also at suppressions of this category. */
    category: optional(categorySchema),
  })
  .refine(
    ({ recipients, user_ids }) => hasOne([recipients, user_ids]),
    exactlyOne(['recipients', 'user_ids']),
  )

/** A suppression as the API shows it. It names nobody. */
export const suppressionSchema = z
  .strictObject({
    id: z.guid(),
    channel: notificationTypeSchema,
    /** Keyed digest of the address or push token. */
    digest: digestSchema,
    /** Null: it applies to every message. */
    category: z.string().nullable(),
    reason: suppressionReasonSchema,
    /** The source of the event, the service key or operator that added it, or `unsubscribe-link`. */
    origin: z.string(),
    event_id: z.guid().nullable().describe('The `id` of the event that caused it.'),
    note: z.string().nullable(),
    since: z.iso.datetime(),
    /** Null: until it is lifted. */
    until: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Suppression' })

/** Whether one recipient is suppressed. The reason is the most serious that applies. */
export const suppressionStateSchema = z
  .strictObject({
    user_id: z.guid().nullable().describe('Null when the question named a recipient.'),
    digest: digestSchema.nullable().describe('Null for a user without an address or token.'),
    suppressed: z.boolean(),
    reason: suppressionReasonSchema.nullable(),
    since: z.iso.datetime().nullable(),
    until: z.iso.datetime().nullable(),
  })
  .meta({ id: 'SuppressionState' })
export type SuppressionState = z.infer<typeof suppressionStateSchema>
