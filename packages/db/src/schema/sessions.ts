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
  // The session list, logout-all, and the cascade of an erased user.
  (table) => [index('sessions_user_id_idx').on(table.userId)],
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
  // Ending a session deletes its tokens.
  (table) => [index('refresh_tokens_session_id_idx').on(table.sessionId)],
)
