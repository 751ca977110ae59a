import { index, integer, pgTable, text, uniqueIndex, uuid, varchar } from 'drizzle-orm/pg-core'
import { bytea, instant } from './columns.ts'

/** Credentials of services and operators, by SHA-256 digest. */
export const serviceKeys = pgTable(
  'service_keys',
  {
    id: uuid('id').primaryKey(),
    /** Becomes the `source` of every event reported with the key. */
    name: varchar('name', { length: 64 }).notNull(),
    keyHash: bytea('key_hash').notNull(),
    /** The first characters of the key, so that an operator can recognise it. */
    prefix: varchar('prefix', { length: 16 }).notNull(),
    scopes: text('scopes').array().notNull(),
    /** How many events the key may report, and how many at once after a pause. Null: any number. */
    eventsPerSecond: integer('events_per_second'),
    /** Null: as many as in a second. */
    burst: integer('burst'),
    createdAt: instant('created_at').notNull().defaultNow(),
    lastUsedAt: instant('last_used_at'),
    revokedAt: instant('revoked_at'),
  },
  (table) => [
    // Authentication.
    uniqueIndex('service_keys_key_hash_key').on(table.keyHash),
    // Finds the live keys of a name; at most two are allowed.
    index('service_keys_name_idx').on(table.name),
  ],
)
