import { index, inet, pgTable, uuid, varchar } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'
import { users } from './users.ts'

/** One login. Its id is the `sid` claim of its access tokens. */
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
    // The session list, logout-all, and the cascade when a user is erased.
    index('sessions_user_id_idx').on(table.userId),
    // The deletion of expired sessions.
    index('sessions_expires_at_idx').on(table.expiresAt),
  ],
)

/** Refresh tokens, by digest. The tokens of a session form one family. */
export const refreshTokens = pgTable(
  'refresh_tokens',
  {
    tokenHash: bytea('token_hash').primaryKey(),
    sessionId: uuid('session_id')
      .notNull()
      .references(() => sessions.id, { onDelete: 'cascade' }),
    createdAt: instant('created_at').notNull().defaultNow(),
    rotatedAt: instant('rotated_at'),
    /** The child token is HMAC(parent token, nonce), so a repeat gets the same child. */
    rotationNonce: bytea('rotation_nonce'),
  },
  // Deleting a session deletes its tokens. Using a token deletes the oldest ones.
  (table) => [index('refresh_tokens_session_id_rotated_at_idx').on(table.sessionId, table.rotatedAt)],
)
