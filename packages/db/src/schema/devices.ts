import { pgTable, primaryKey, text, uniqueIndex, uuid, varchar } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'
import { users } from './users.ts'

/** Where a user receives push messages. A token belongs to one user at a time. */
export const devices = pgTable(
  'devices',
  {
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** Chosen by the application. `default` holds the push_token of the user. */
    deviceId: varchar('device_id', { length: 128 }).notNull(),
    /** `fcm`, `apns` or `web`; null for a push_token, which does not tell. */
    platform: varchar('platform', { length: 8 }).$type<'fcm' | 'apns' | 'web'>(),
    token: text('token').notNull(),
    /** SHA-256 of the token: a unique index cannot hold 4 KB. */
    tokenDigest: bytea('token_digest').notNull(),
    app: varchar('app', { length: 255 }),
    environment: varchar('environment', { length: 64 }),
    createdAt: instant('created_at').notNull().defaultNow(),
    lastSeenAt: instant('last_seen_at').notNull().defaultNow(),
    /** When the provider last said that the token is not registered. It counts while it is later than lastSeenAt. */
    invalidSince: instant('invalid_since'),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.deviceId] }),
    // Registration takes the token from its earlier user.
    uniqueIndex('devices_token_digest_key').on(table.tokenDigest),
  ],
)
