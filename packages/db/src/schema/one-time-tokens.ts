import type { TokenPurpose } from '@tidings/shared/outbound-message'
import { index, pgTable, uuid, varchar } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'
import { users } from './users.ts'

/** The tokens in links to users, by SHA-256 digest. Using a token deletes it. */
export const oneTimeTokens = pgTable(
  'one_time_tokens',
  {
    digest: bytea('digest').primaryKey(),
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    purpose: varchar('purpose', { length: 24 }).$type<TokenPurpose>().notNull(),
    /** The address that the token proves, changes to, or restores. */
    email: varchar('email', { length: 254 }).notNull(),
    createdAt: instant('created_at').notNull().defaultNow(),
    expiresAt: instant('expires_at').notNull(),
  },
  (table) => [
    // Ends the other tokens when one is used or the password changes; the cascade when a user is erased.
    index('one_time_tokens_user_id_purpose_idx').on(table.userId, table.purpose),
    // The deletion of expired tokens.
    index('one_time_tokens_expires_at_idx').on(table.expiresAt),
  ],
)
