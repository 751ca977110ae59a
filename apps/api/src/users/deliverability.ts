import { findUndeliverableReasons } from '@tidings/shared/deliverability'
import type { Deliverability } from '@tidings/shared/user'
import type { CachedUser } from '../cache/caches.ts'

/** Returns what a user chose, and whether a message on each channel would reach them. */
export function resolveDeliverability(userId: string, found: CachedUser | undefined): Deliverability {
  const reasons = findUndeliverableReasons(
    found && {
      isActive: found.isActive,
      preferences: found.user.preferences,
      hasPushToken: found.user.push_token !== null,
    },
  )
  return {
    user_id: userId,
    preferences: found?.user.preferences ?? null,
    deliverable: { email: reasons.email === null, push: reasons.push === null },
    reasons,
    devices: reasons.push === null ? (found?.devices ?? []) : [],
  }
}
