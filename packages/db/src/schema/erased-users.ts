import { pgTable } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'

/**
 * Erased users, by the SHA-256 digest of their id. The digest recognises the id in an event that arrives later, or in
 * imported data. It does not reveal the id.
 */
export const erasedUsers = pgTable('erased_users', {
  userDigest: bytea('user_digest').primaryKey(),
  erasedAt: instant('erased_at').notNull().defaultNow(),
})
