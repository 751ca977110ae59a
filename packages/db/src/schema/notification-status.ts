import { DELIVERY_STATUSES, ENGAGEMENTS, NOTIFICATION_TYPES } from '@tidings/shared/status-event'
import { sql } from 'drizzle-orm'
import { index, integer, jsonb, pgEnum, pgTable, text, uuid, varchar } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'
import { users } from './users.ts'

export const notificationType = pgEnum('notification_type', NOTIFICATION_TYPES)
export const notificationStatusName = pgEnum('notification_status_name', [
  ...DELIVERY_STATUSES,
  ...ENGAGEMENTS,
])

/**
 * One row per event, in a partition for each month of received_at. PostgreSQL demands that a unique key of such a table
 * holds received_at, so none is unique by id: `event_keys` is. Fixed-width columns come first: less space is lost to
 * alignment.
 */
export const notificationStatus = pgTable(
  'notification_status',
  {
    /** Fixed before the event is enqueued. Find a row by id through `event_keys`. */
    id: uuid('id').notNull(),
    userId: uuid('user_id').references(() => users.id, { onDelete: 'set null' }),
    timestamp: instant('timestamp').notNull(),
    receivedAt: instant('received_at').notNull(),
    notificationType: notificationType('notification_type').notNull(),
    status: notificationStatusName('status').notNull(),
    attempt: integer('attempt'),
    notificationId: varchar('notification_id', { length: 255 }).notNull(),
    source: varchar('source', { length: 255 }).notNull(),
    error: text('error'),
    errorCode: varchar('error_code', { length: 128 }),
    errorClass: varchar('error_class', { length: 16 }),
    eventId: varchar('event_id', { length: 128 }),
    /** Set for events with an idempotency key. It tells a repeat from a conflict. */
    contentHash: bytea('content_hash'),
    provider: varchar('provider', { length: 128 }),
    providerMessageId: varchar('provider_message_id', { length: 255 }),
    category: varchar('category', { length: 64 }),
    /** Keyed digest of the address or token. See digestRecipient. */
    recipientDigest: bytea('recipient_digest'),
    metadata: jsonb('metadata'),
  },
  (table) => [
    // GET /notifications/{id}: all events of one notification. Storing: the user whose notification it is. Search: the
    // prefix of an id, which needs this operator class whatever the collation of the database. It also compares faster.
    index('notification_status_notification_id_idx').on(
      table.notificationId.op('text_pattern_ops'),
      table.notificationType,
      table.userId,
    ),
    // GET /status/history: a user's events, newest first. The foreign key's SET NULL uses it too.
    index('notification_status_user_id_timestamp_idx').on(table.userId, table.timestamp, table.id),
    // Search, newest first: by time, also with a source, a status or a type.
    index('notification_status_timestamp_idx').on(table.timestamp, table.id),
    // Search: by recipient, by provider message id, by error code. Most events lack at least one of them.
    index('notification_status_recipient_idx')
      .on(table.recipientDigest, table.timestamp, table.id)
      .where(sql`${table.recipientDigest} IS NOT NULL`),
    index('notification_status_provider_message_id_idx')
      .on(table.providerMessageId.op('text_pattern_ops'))
      .where(sql`${table.providerMessageId} IS NOT NULL`),
    index('notification_status_error_code_idx')
      .on(table.errorCode.op('text_pattern_ops'), table.timestamp, table.id)
      .where(sql`${table.errorCode} IS NOT NULL`),
    // tidings doctor: the rows of the last days. Rows arrive in the order of receipt, so a block range index is enough.
    index('notification_status_received_at_idx')
      .using('brin', table.receivedAt)
      .with({ autosummarize: true, pages_per_range: 32 }),
  ],
)
