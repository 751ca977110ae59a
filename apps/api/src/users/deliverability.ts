import type { Deliverability, UndeliverableReason } from '@tidings/shared/user'
import type { CachedUser } from '../cache/caches.ts'

type Reasons = Record<'email' | 'push', UndeliverableReason | null>

/** Returns what a user chose, and whether a message on each channel would reach them. */
export function resolveDeliverability(userId: string, found: CachedUser | undefined): Deliverability {
  const reasons = findReasons(found)
  return {
    user_id: userId,
    preferences: found?.user.preferences ?? null,
    deliverable: { email: reasons.email === null, push: reasons.push === null },
    reasons,
    devices: reasons.push === null ? (found?.devices ?? []) : [],
  }
}

/** Returns the first reason per channel that makes a message useless. */
function findReasons(found: CachedUser | undefined): Reasons {
  if (found === undefined) return { email: 'unknown_user', push: 'unknown_user' }
  if (!found.isActive) return { email: 'inactive', push: 'inactive' }
  const { preferences } = found.user
  const noToken = found.devices.length === 0 ? 'no_push_token' : null
  return {
    email: preferences.email ? null : 'opted_out',
    push: preferences.push ? noToken : 'opted_out',
  }
}
