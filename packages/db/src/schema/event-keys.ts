import { pgTable, uuid } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'

/** The ids of the events of DEDUPLICATION_WINDOW. Its primary key alone makes storing idempotent. */
export const eventKeys = pgTable('event_keys', {
  id: uuid('id').primaryKey(),
  /** The partition of the row follows from it. */
  receivedAt: instant('received_at').notNull(),
  /** As in the row. */
  contentHash: bytea('content_hash'),
})
