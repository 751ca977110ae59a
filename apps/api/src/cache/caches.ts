import { deviceSchema } from '@tidings/shared/device'
import { userSchema } from '@tidings/shared/user'
import { z } from 'zod'
import type { TieredCache } from './tiered-cache.ts'

/** The API's caches. */
export interface Caches {
  users: TieredCache<CachedUser>
  /** Live sessions only. */
  sessions: TieredCache<SessionOwner>
}

/** A user as the API shows it, with the facts that decide whether the user may act. No password. */
export const cachedUserSchema = z.object({
  user: userSchema,
  isActive: z.boolean(),
  /** At most MAX_DEVICES, the most recently seen first. */
  devices: z.array(deviceSchema),
  /** Milliseconds since the epoch: Django tokens issued earlier are refused. */
  legacyTokensEndedAtMs: z.number().nullable(),
})
export type CachedUser = z.infer<typeof cachedUserSchema>

export const sessionOwnerSchema = z.object({ userId: z.string() })
export type SessionOwner = z.infer<typeof sessionOwnerSchema>
