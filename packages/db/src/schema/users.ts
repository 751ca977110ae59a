import type { CategoryChoices } from '@tidings/shared/user'
import { sql } from 'drizzle-orm'
import { boolean, check, index, jsonb, pgTable, text, uniqueIndex, uuid, varchar } from 'drizzle-orm/pg-core'
import { instant } from './columns.ts'

export const users = pgTable(
  'users',
  {
    id: uuid('id').primaryKey(),
    email: varchar('email', { length: 254 }).notNull(),
    /** When the user proved to receive mail at `email`. */
    emailVerifiedAt: instant('email_verified_at'),
    name: varchar('name', { length: 255 }).notNull(),
    /** Django's format: pbkdf2_sha256$iterations$salt$base64. A hash that starts with `!` never logs in. */
    password: text('password').notNull(),
    emailNotifications: boolean('email_notifications').notNull().default(true),
    pushNotifications: boolean('push_notifications').notNull().default(true),
    /** What the user chose for a category, by its key. An absent channel follows the category's default. */
    categoryChoices: jsonb('category_choices').$type<CategoryChoices>().notNull().default({}),
    isActive: boolean('is_active').notNull().default(true),
    lastLoginAt: instant('last_login_at'),
    /** Tokens of the Django service issued before this time are invalid: they have no session that could be ended. */
    legacyTokensEndedAt: instant('legacy_tokens_ended_at'),
    createdAt: instant('created_at').notNull().defaultNow(),
    updatedAt: instant('updated_at').notNull().defaultNow(),
  },
  (table) => [
    // Login and registration look up the address in any case.
    uniqueIndex('users_email_key').on(sql`lower(${table.email})`),
    // The cursor of the user list: newest first.
    index('users_created_at_id_idx').on(table.createdAt, table.id),
    check('users_email_not_empty', sql`${table.email} <> ''`),
  ],
)
