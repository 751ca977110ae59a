import { jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { instant } from './columns.ts'

/**
 * Events acknowledged while Redis was away that could not be stored at once (no such user, a conflict). The
 * worker puts them on the queue when Redis is back, where they take the ordinary way. Normally empty.
 */
export const eventOutbox = pgTable('event_outbox', {
  id: uuid('id').primaryKey(),
  event: jsonb('event').notNull(),
  why: text('why').notNull(),
  parkedAt: instant('parked_at').notNull().defaultNow(),
})
