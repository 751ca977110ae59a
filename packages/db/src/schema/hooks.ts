import type { HookCredential } from '@tidings/shared/hook'
import { sql } from 'drizzle-orm'
import { boolean, jsonb, pgTable, uniqueIndex, varchar } from 'drizzle-orm/pg-core'
import { instant } from './columns.ts'

/** URLs that providers report to. */
export const hooks = pgTable(
  'hooks',
  {
    /** The unguessable part of the URL: 32 hex digits. */
    id: varchar('id', { length: 32 }).primaryKey(),
    provider: varchar('provider', { length: 32 }).notNull(),
    /** Becomes the `source` of the hook's events. */
    name: varchar('name', { length: 64 }).notNull(),
    /** The newest first; two while one is rotated. */
    credentials: jsonb('credentials').$type<HookCredential[]>().notNull(),
    /** Its credential is ours, not the provider's: the simulator signs with it. */
    isTrial: boolean('is_trial').notNull(),
    createdAt: instant('created_at').notNull().defaultNow(),
    lastUsedAt: instant('last_used_at'),
    revokedAt: instant('revoked_at'),
  },
  (table) => [
    // A name stands for one live hook.
    uniqueIndex('hooks_live_name_key').on(table.name).where(sql`${table.revokedAt} IS NULL`),
  ],
)
