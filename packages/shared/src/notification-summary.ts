import { foldNotification, type NotificationState, type StatusFact } from './notification-status.ts'
import type { NotificationType } from './status-event.ts'

/** A stored event of a notification. */
export interface NotificationEvent extends StatusFact {
  notification_id: string
}

/** A notification as the API and the CLI show it, without its timeline. */
export interface NotificationSummary extends NotificationState {
  notification_id: string
  notification_type: NotificationType
  /** The user of the latest event that names one. */
  user_id: string | null
}

/**
 * Summarizes a notification. Returns undefined when it has no events.
 *
 * @param events both lists oldest first: the timeline, possibly cut off, and the events that decide its status.
 */
export function summarizeNotification(events: {
  timeline: readonly NotificationEvent[]
  deciding: readonly NotificationEvent[]
}): NotificationSummary | undefined {
  const [first] = events.timeline
  if (first === undefined) return undefined
  return {
    notification_id: first.notification_id,
    notification_type: first.notification_type,
    user_id: events.deciding.findLast((event) => event.user_id !== null)?.user_id ?? null,
    ...foldNotification(events.deciding),
  }
}

/** Whether the notification belongs to this user alone: one event of another user makes it nobody's. */
export function isOwnedOnlyBy(userId: string, deciding: readonly Pick<StatusFact, 'user_id'>[]): boolean {
  const owners = new Set(deciding.map((event) => event.user_id).filter((id) => id !== null))
  return owners.size === 1 && owners.has(userId)
}
