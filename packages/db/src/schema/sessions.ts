import { index, inet, pgTable, uuid, varchar } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'
import { users } from './users.ts'

/** One login. Its id is the `sid` of every access token issued under it. */
export const sessions = pgTable(
  'sessions',
  {
    id: uuid('id').primaryKey(),
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    userAgent: varchar('user_agent', { length: 255 }),
    ip: inet('ip'),
    createdAt: instant('created_at').notNull().defaultNow(),
    lastUsedAt: instant('last_used_at').notNull().defaultNow(),
    expiresAt: instant('expires_at').notNull(),
    revokedAt: instant('revoked_at'),
  },
  (table) => [
    // The session list, logout-all, and the cascade of an erased user.
    index('sessions_user_id_idx').on(table.userId),
    // Finding those that are over.
    index('sessions_expires_at_idx').on(table.expiresAt),
  ],
)

/** A refresh token, by digest. All of a session's tokens are one family. */
export const refreshTokens = pgTable(
  'refresh_tokens',
  {
    tokenHash: bytea('token_hash').primaryKey(),
    sessionId: uuid('session_id')
      .notNull()
      .references(() => sessions.id, { onDelete: 'cascade' }),
    createdAt: instant('created_at').notNull().defaultNow(),
    rotatedAt: instant('rotated_at'),
    /** The child is HMAC(parent token, this), so a repeat within the grace gets the same child. */
    rotationNonce: bytea('rotation_nonce'),
  },
  // Deleting a session deletes its tokens; using one deletes the oldest.
  (table) => [index('refresh_tokens_session_id_rotated_at_idx').on(table.sessionId, table.rotatedAt)],
)
