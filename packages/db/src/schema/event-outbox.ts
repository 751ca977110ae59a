import { jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { instant } from './columns.ts'

/**
 * Items that an API acknowledged while the queue was unreachable and could not store itself: an unknown user, a
 * conflict, a provider's event that names its message only, or one that nobody can read. The worker publishes them when the queue is back. Normally empty.
 */
export const eventOutbox = pgTable('event_outbox', {
  id: uuid('id').primaryKey(),
  event: jsonb('event').notNull(),
  why: text('why').notNull(),
  createdAt: instant('created_at').notNull().defaultNow(),
})
