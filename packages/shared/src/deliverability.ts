import type { NotificationType } from './status-event.ts'
import type { UndeliverableReason } from './user.ts'

/** What decides about a user whether a message reaches them. */
export interface Reachability {
  isActive: boolean
  preferences: Record<NotificationType, boolean>
  hasPushToken: boolean
}

/** Returns the first reason per channel that makes a message to the user useless. */
export function findUndeliverableReasons(
  user: Reachability | undefined,
): Record<NotificationType, UndeliverableReason | null> {
  if (user === undefined) return { email: 'unknown_user', push: 'unknown_user' }
  if (!user.isActive) return { email: 'inactive', push: 'inactive' }
  const noToken = user.hasPushToken ? null : 'no_push_token'
  return {
    email: user.preferences.email ? null : 'opted_out',
    push: user.preferences.push ? noToken : 'opted_out',
  }
}
