import { z } from 'zod'
import { deviceSchema, pushTokenSchema } from './device.ts'
import { displayed } from './displayed-text.ts'
import { optional } from './optional.ts'

/** A choice for some channels. */
const channelChoicesSchema = z
  .strictObject({ email: optional(z.boolean()), push: optional(z.boolean()) })
  .meta({ id: 'ChannelChoices' })

/** What a user chose for one category, as it is stored. An absent channel follows the default. */
const categoryChoiceSchema = z
  .strictObject({ email: z.boolean().optional(), push: z.boolean().optional() })
  .meta({ id: 'CategoryChoice' })
export type CategoryChoices = Readonly<Record<string, z.infer<typeof categoryChoiceSchema>>>

const preferencesSchema = z
  .strictObject({
    email: z.boolean(),
    push: z.boolean(),
    /** Absent while the user chose nothing for any category. */
    categories: z.record(z.string(), categoryChoiceSchema).optional(),
  })
  .meta({ id: 'Preferences' })

export const PASSWORD_LENGTH = { min: 8, max: 1024 } as const
const NAME_MAX_LENGTH = 255

/**
 * A plain ASCII address of at most 254 characters, put into lower case: two users never differ only by case.
 * Quoted local parts and non-ASCII characters are refused.
 */
export const emailSchema = z
  .string()
  .max(254, { error: 'Use at most 254 characters.' })
  .meta({ format: 'email' })
  .pipe(z.email({ error: 'Use a plain e-mail address.' }))
  .transform((value) => value.toLowerCase())

const nameSchema = displayed(z.string().trim().min(1).max(NAME_MAX_LENGTH))

/** Counts code points, as JSON Schema and Django do: an emoji counts once, not twice. */
const countCharacters = (text: string) => Array.from(text).length

/**
 * Composes accents (NFC, as RFC 8265 does): keyboards differ in it, and the password is the same. Not NFKC, so that
 * Django, which does not normalize, still verifies nearly every hash.
 */
export const normalizePassword = (password: string) => password.normalize('NFC')

export const passwordSchema = z
  .string()
  .refine((password) => countCharacters(password) <= PASSWORD_LENGTH.max, {
    error: `Use at most ${PASSWORD_LENGTH.max} characters.`,
    params: { code: 'too_big' },
  })
  .meta({ maxLength: PASSWORD_LENGTH.max })

export const newPasswordSchema = passwordSchema
  .refine((password) => countCharacters(normalizePassword(password)) >= PASSWORD_LENGTH.min, {
    error: `Use at least ${PASSWORD_LENGTH.min} characters.`,
    params: { code: 'too_small' },
  })
  .meta({ minLength: PASSWORD_LENGTH.min, maxLength: PASSWORD_LENGTH.max })

export const registrationSchema = z.strictObject({
  name: nameSchema,
  email: emailSchema,
  password: newPasswordSchema,
  push_token: pushTokenSchema.nullable().optional(),
  preferences: optional(channelChoicesSchema),
})
export type Registration = z.infer<typeof registrationSchema>

export const credentialsSchema = z.strictObject({
  email: z.string().max(1024),
  password: passwordSchema,
})
export type Credentials = z.infer<typeof credentialsSchema>

/** Most categories in one change. */
const MAX_CATEGORY_CHANGES = 50

const preferencesChangeSchema = channelChoicesSchema
  .extend({
    /** By the category's key. Other categories and channels keep their choice. */
    categories: optional(
      z
        .record(z.string(), channelChoicesSchema)
        .refine((choices) => Object.keys(choices).length <= MAX_CATEGORY_CHANGES, {
          error: `Use at most ${MAX_CATEGORY_CHANGES} categories.`,
        }),
    ),
  })
  .meta({ id: 'PreferencesChange' })

export const userUpdateSchema = z.strictObject({
  name: optional(nameSchema),
  /** Null removes the token. */
  push_token: pushTokenSchema.nullable().optional(),
  preferences: optional(preferencesChangeSchema),
})
export type UserUpdate = z.infer<typeof userUpdateSchema>

export const pushTokenUpdateSchema = z.strictObject({ push_token: pushTokenSchema.nullable() })

export const passwordChangeSchema = z.strictObject({
  current_password: passwordSchema,
  new_password: newPasswordSchema,
})
export type PasswordChange = z.infer<typeof passwordChangeSchema>

/** The optional body of an erasure. */
export const erasureSchema = z.strictObject({ password: passwordSchema.nullish() })

/** Most user ids in one request for preferences. */
export const MAX_PREFERENCES_BATCH = 500

/** Why a channel does not reach a user, in the order they are checked: the first that applies is reported. */
export const UNDELIVERABLE_REASONS = [
  'unknown_user',
  'inactive',
  'opted_out',
  'opted_out_category',
  'no_push_token',
  'suppressed_complaint',
  'suppressed_bounce',
  'suppressed_manual',
  'suppressed_unsubscribe',
] as const
const undeliverableReasonSchema = z.enum(UNDELIVERABLE_REASONS).meta({ id: 'UndeliverableReason' })
export type UndeliverableReason = (typeof UNDELIVERABLE_REASONS)[number]

/** The answer to a sender that asks before it sends. A reason is null when the channel reaches the user. */
export const deliverabilitySchema = z
  .strictObject({
    user_id: z.guid(),
    /** The user's choice; null for an unknown user. */
    preferences: preferencesSchema.nullable(),
    /** Whether a message would reach the user: the choice, and everything else that decides. */
    deliverable: z.strictObject({ email: z.boolean(), push: z.boolean() }).meta({ id: 'Deliverable' }),
    reasons: z.strictObject({
      email: undeliverableReasonSchema.nullable(),
      push: undeliverableReasonSchema.nullable(),
    }),
    /** Where to send a push message, the most recently seen device first. Empty unless push reaches the user. */
    devices: z.array(deviceSchema),
  })
  .meta({ id: 'Deliverability' })
export type Deliverability = z.infer<typeof deliverabilitySchema>

/** A user as the API shows it. Times are ISO 8601. */
export const userSchema = z
  .object({
    id: z.guid(),
    name: z.string(),
    email: z.string(),
    /** When the user proved to receive mail at this address. */
    email_verified_at: z.string().nullable(),
    /** The token of the most recently seen device. */
    push_token: z.string().nullable(),
    preferences: preferencesSchema,
    created_at: z.string(),
    updated_at: z.string(),
  })
  .meta({ id: 'User' })
export type User = z.infer<typeof userSchema>
