import { boolean, pgTable, varchar } from 'drizzle-orm/pg-core'
import { instant } from './columns.ts'

/** The kinds of messages that a user can switch on and off. */
export const categories = pgTable('categories', {
  key: varchar('key', { length: 64 }).primaryKey(),
  /** Whether it is on for a user who did not choose. */
  default: boolean('default').notNull().default(true),
  /** Sent whatever the user chose, such as a receipt. */
  required: boolean('required').notNull().default(false),
  updatedAt: instant('updated_at').notNull().defaultNow(),
})
