import type { OutboundKind, OutboundVariables } from '@tidings/shared/outbound-message'
import { sql } from 'drizzle-orm'
import { index, jsonb, pgTable, uuid, varchar } from 'drizzle-orm/pg-core'
import { instant } from './columns.ts'
import { users } from './users.ts'

/**
 * - `pending`: the relay has not put it on the queue yet.
 * - `queued`: it is on the queue. Status events tell what became of it.
 * - `expired`, `cancelled`: it is not sent.
 */
export type OutboundState = 'pending' | 'queued' | 'expired' | 'cancelled'

/** Messages to users, written in the transaction of what causes them. They hold no secret. */
export const outboundMessages = pgTable(
  'outbound_messages',
  {
    /** The `notification_id` of the message's status events. */
    id: uuid('id').primaryKey(),
    kind: varchar('kind', { length: 32 }).$type<OutboundKind>().notNull(),
    /** Null for a password reset whose address was not looked up yet: a request takes equally long for any address. */
    userId: uuid('user_id').references(() => users.id, { onDelete: 'cascade' }),
    to: varchar('to', { length: 254 }).notNull(),
    locale: varchar('locale', { length: 35 }).notNull(),
    variables: jsonb('variables').$type<OutboundVariables>().notNull(),
    state: varchar('state', { length: 16 }).$type<OutboundState>().notNull().default('pending'),
    /** Until then a relay is publishing it. Later, that relay was killed. */
    claimedUntil: instant('claimed_until'),
    createdAt: instant('created_at').notNull().defaultNow(),
    expiresAt: instant('expires_at').notNull(),
  },
  (table) => [
    // The relay.
    index('outbound_messages_pending_idx').on(table.createdAt).where(sql`${table.state} = 'pending'`),
    // The limits of messages per kind, and the cascade when a user is erased.
    index('outbound_messages_user_id_kind_idx').on(table.userId, table.kind, table.createdAt),
    // The deletion of old messages.
    index('outbound_messages_expires_at_idx').on(table.expiresAt),
  ],
)
