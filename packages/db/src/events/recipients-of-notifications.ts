import type { NotificationType } from '@tidings/shared/status-event'
import type { Database } from '../database.ts'
import type { Recipient } from '../suppressions/find-suppressions.ts'
import type { NotificationKey } from './look-up-notifications.ts'

/** The recipients that the events of the notifications name. */
export async function findRecipientsOf(db: Database, keys: readonly NotificationKey[]): Promise<Recipient[]> {
  if (keys.length === 0) return []
  const { rows } = await db.pool.query<{ channel: NotificationType; digest: string }>(
    `SELECT DISTINCT s.notification_type AS channel, encode(s.recipient_digest, 'hex') AS digest
     FROM unnest($1::text[], $2::notification_type[]) AS k(notification_id, notification_type)
     JOIN notification_status s USING (notification_id, notification_type)
     WHERE s.recipient_digest IS NOT NULL`,
    [keys.map((key) => key.notification_id), keys.map((key) => key.notification_type)],
  )
  return rows
}
