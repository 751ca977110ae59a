import { index, pgTable, primaryKey } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'
import { notificationType } from './notification-status.ts'

/**
 * Attempts to reach a recipient that failed within the last 72 hours, as trusted sources reported them. A delivery
 * removes the earlier ones. A table of its own, because an index for it on notification_status slows down every insert.
 */
export const failedDeliveries = pgTable(
  'failed_deliveries',
  {
    channel: notificationType('channel').notNull(),
    /** See digestRecipient. */
    recipientDigest: bytea('recipient_digest').notNull(),
    /** SHA-256 of the notification and the number of the attempt: a provider may report one attempt twice. */
    attemptDigest: bytea('attempt_digest').notNull(),
    at: instant('at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.channel, table.recipientDigest, table.attemptDigest] }),
    // The removal of old ones.
    index('failed_deliveries_at_idx').on(table.at),
  ],
)
