import { bigint, pgTable, primaryKey, smallint, varchar } from 'drizzle-orm/pg-core'
import { instant } from './columns.ts'
import { notificationStatusName, notificationType } from './notification-status.ts'

/**
 * How many events became rows, by the hour of received_at. The statement that inserts the rows counts them. An empty
 * text means that the event has no such value.
 */
export const statusCounts = pgTable(
  'status_counts',
  {
    hour: instant('hour').notNull(),
    notificationType: notificationType('notification_type').notNull(),
    status: notificationStatusName('status').notNull(),
    source: varchar('source', { length: 255 }).notNull(),
    provider: varchar('provider', { length: 128 }).notNull(),
    category: varchar('category', { length: 64 }).notNull(),
    errorClass: varchar('error_class', { length: 16 }).notNull(),
    /** Follows from the connection, so that two writers seldom wait for each other's row. Readers add all slots up. */
    slot: smallint('slot').notNull(),
    count: bigint('count', { mode: 'number' }).notNull(),
  },
  (table) => [
    primaryKey({
      name: 'status_counts_pkey',
      columns: [
        table.hour,
        table.notificationType,
        table.status,
        table.source,
        table.provider,
        table.category,
        table.errorClass,
        table.slot,
      ],
    }),
  ],
)
