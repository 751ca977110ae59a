import { EVERY_CATEGORY, SUPPRESSION_REASONS } from '@tidings/shared/suppression'
import { sql } from 'drizzle-orm'
import { check, index, pgTable, text, uniqueIndex, uuid, varchar } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'
import { notificationType } from './notification-status.ts'

/**
 * Recipients that must not be sent to. A row names nobody and refers to nobody, so it outlives users and imports.
 * Each reason has a row of its own: lifting a bounce must not bring back somebody who unsubscribed.
 */
export const suppressions = pgTable(
  'suppressions',
  {
    id: uuid('id').primaryKey(),
    channel: notificationType('channel').notNull(),
    /** See digestRecipient. */
    recipientDigest: bytea('recipient_digest').notNull(),
    /** Empty: every message. */
    category: varchar('category', { length: 64 }).notNull().default(EVERY_CATEGORY),
    reason: varchar('reason', { length: 16, enum: SUPPRESSION_REASONS }).notNull(),
    /** The source of the event, or who added it. */
    origin: varchar('origin', { length: 255 }).notNull(),
    eventId: uuid('event_id'),
    note: text('note'),
    since: instant('since').notNull(),
    /** Null: until it is lifted. */
    until: instant('until'),
  },
  (table) => [
    // Adding, and every question whether a recipient is suppressed.
    uniqueIndex('suppressions_key').on(table.channel, table.recipientDigest, table.category, table.reason),
    // The list: newest first.
    index('suppressions_since_id_idx').on(table.since, table.id),
    check(
      'suppressions_reason',
      sql`${table.reason} IN (${sql.raw(SUPPRESSION_REASONS.map((reason) => `'${reason}'`).join(', '))})`,
    ),
  ],
)
