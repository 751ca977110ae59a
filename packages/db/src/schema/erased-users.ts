import { pgTable } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'

/**
 * Users who were erased, by the SHA-256 digest of their id: enough to know the id again when it turns up in an
 * event on its way or in another system's data, and no way back to it.
 */
export const erasedUsers = pgTable('erased_users', {
  userDigest: bytea('user_digest').primaryKey(),
  erasedAt: instant('erased_at').notNull().defaultNow(),
})
