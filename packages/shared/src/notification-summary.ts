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
  /** The user of the first received event that names one. */
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
    user_id: ownerOf(events.deciding),
    ...foldNotification(events.deciding),
  }
}

/**
 * The user of the first received event that names one. Later events that name another user are refused; should two
 * arrive at the same moment, the second one does not take the notification away from the first one's user.
 */
function ownerOf(deciding: readonly NotificationEvent[]): string | null {
  const [first] = deciding
    .filter((event) => event.user_id !== null)
    .toSorted((a, b) => Date.parse(a.received_at) - Date.parse(b.received_at) || (a.id < b.id ? -1 : 1))
  return first?.user_id ?? null
}
