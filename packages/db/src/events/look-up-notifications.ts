import type { NotificationEvent } from '@tidings/shared/notification-summary'
import type { ErrorClass, NotificationType, Status } from '@tidings/shared/status-event'
import type { Database } from '../database.ts'
import { DECIDING_IDS } from './notifications.ts'

/** A notification: its id and its type. */
export interface NotificationKey {
  notification_id: string
  notification_type: NotificationType
}

// For each notification it reads one range of an index, and returns the few events that decide. Without MATERIALIZED,
// PostgreSQL would read the range once for each use.
export const LOOK_UP = `
SELECT asked.place, decided.* FROM unnest($1::text[], $2::notification_type[]) WITH ORDINALITY
  AS asked(notification_id, notification_type, place)
CROSS JOIN LATERAL (
  WITH event AS MATERIALIZED (
    SELECT s.id, s.status, s.error_class, s.user_id, s."timestamp", s.received_at, s.attempt AS given_attempt,
      coalesce(s.attempt, 0) AS attempt, least(s."timestamp", s.received_at) AS time
    FROM notification_status s
    WHERE s.notification_id = asked.notification_id AND s.notification_type = asked.notification_type
  )
  SELECT id, status, error_class, user_id, "timestamp", received_at, given_attempt FROM event
  WHERE id IN (${DECIDING_IDS})
) AS decided
ORDER BY asked.place, decided."timestamp", decided.id`

interface DecidingRow {
  /** A bigint: from 1. */
  place: string
  id: string
  status: Status
  error_class: ErrorClass | null
  user_id: string | null
  timestamp: Date
  received_at: Date
  given_attempt: number | null
}

/**
 * Reads the events that decide the status and the user of each notification, in one query.
 *
 * @returns a list for each, in order, oldest event first; an empty one for an unknown notification. The texts of errors
 *   are left out.
 */
export async function lookUpNotifications(
  db: Database,
  keys: readonly NotificationKey[],
): Promise<NotificationEvent[][]> {
  const { rows } = await db.pool.query<DecidingRow>({
    // To plan a query over many partitions takes longer than to run it.
    name: 'look-up-notifications',
    text: LOOK_UP,
    values: [keys.map((key) => key.notification_id), keys.map((key) => key.notification_type)],
  })
  const byPlace = Map.groupBy(rows, ({ place }) => Number(place) - 1)
  return keys.map((key, index) => (byPlace.get(index) ?? []).map((row) => toEvent(key, row)))
}

function toEvent(key: NotificationKey, row: DecidingRow): NotificationEvent {
  return {
    ...key,
    id: row.id,
    user_id: row.user_id,
    status: row.status,
    error: row.error_class && { class: row.error_class, message: '' },
    timestamp: row.timestamp.toISOString(),
    received_at: row.received_at.toISOString(),
    attempt: row.given_attempt,
  }
}
