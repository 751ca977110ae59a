import { z } from 'zod'
import { displayed } from './displayed-text.ts'
import { optional } from './optional.ts'

/** Most devices of a user. Registering one more removes the device that was unseen for the longest time. */
export const MAX_DEVICES = 20

/** The device that holds the `push_token` of the user. */
export const DEFAULT_DEVICE = 'default'

const PLATFORMS = ['fcm', 'apns', 'web'] as const

export const pushTokenSchema = displayed(z.string().min(1).max(4096))

/** Chosen by the application. It is a segment of the path, where `.` and `..` would name another resource. */
export const deviceIdSchema = z
  .string()
  .regex(/^(?!\.{1,2}$)(?:(?!\p{Default_Ignorable_Code_Point})[^\s\p{C}\p{Z}/]){1,128}$/u, {
    error: 'Use 1 to 128 visible characters without spaces and slashes.',
  })

const platformSchema = z.enum(PLATFORMS).meta({ id: 'Platform' })

export const deviceRegistrationSchema = z.strictObject({
  platform: platformSchema,
  token: pushTokenSchema,
  /** The application on the device, where there are several. */
  app: optional(displayed(z.string().min(1).max(255))),
  /** Such as `sandbox` of APNs. */
  environment: optional(displayed(z.string().min(1).max(64))),
})
export type DeviceRegistration = z.infer<typeof deviceRegistrationSchema>

/** A device as the API shows it. */
export const deviceSchema = z
  .strictObject({
    device_id: z.string(),
    /** Null for a `push_token`, which does not tell. */
    platform: platformSchema.nullable(),
    token: z.string(),
    app: z.string().nullable(),
    environment: z.string().nullable(),
    created_at: z.iso.datetime(),
    /** When the token was last registered. */
    last_seen_at: z.iso.datetime(),
  })
  .meta({ id: 'Device' })
export type Device = z.infer<typeof deviceSchema>
