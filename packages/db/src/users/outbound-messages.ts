import {
  DEFAULT_LOCALE,
  OUTBOUND_TTL_SECONDS,
  type OutboundKind,
  type OutboundVariables,
} from '@tidings/shared/outbound-message'
import { and, count, eq, gt, inArray, min, ne, sql } from 'drizzle-orm'
import { v7 as uuidv7 } from 'uuid'
import type { Database, Handle } from '../database.ts'
import { outboundMessages } from '../schema/outbound-messages.ts'

export interface NewMessage {
  kind: OutboundKind
  /** Null for a password reset: the relay finds the user. */
  userId: string | null
  to: string
  locale?: string | undefined
  variables?: OutboundVariables
}

/**
 * Writes a message for the relay to put on the queue. Call it in the transaction of what causes the message.
 *
 * @returns its id.
 */
export async function addMessage(db: Handle, message: NewMessage): Promise<string> {
  const { kind, userId, to, locale = DEFAULT_LOCALE, variables = {} } = message
  const id = uuidv7()
  const expiresAt = new Date(Date.now() + OUTBOUND_TTL_SECONDS[kind] * 1000)
  await db.orm.insert(outboundMessages).values({ id, kind, userId, to, locale, variables, expiresAt })
  return id
}

/**
 * The variables of a message to a user. Texts that anyone may have chosen are not sent to an address that nobody proved: a
 * stranger could register it and write to its owner.
 *
 * @param chosen further texts of this kind.
 */
export const greet = (
  user: { name: string; emailVerifiedAt: Date | null },
  chosen: OutboundVariables = {},
): OutboundVariables => (user.emailVerifiedAt === null ? {} : { name: user.name, ...chosen })

/** Adds a notice, unless the user got one of this kind within the last hour. */
export async function addNotice(db: Handle, notice: NewMessage & { userId: string }): Promise<void> {
  const isRecent = await hasRecentMessage(db, notice.userId, notice.kind, '1 hour')
  if (!isRecent) await addMessage(db, notice)
}

/** Tells whether a message of this kind was written for the user within `period`, an SQL interval. */
export async function hasRecentMessage(
  db: Handle,
  userId: string,
  kind: OutboundKind,
  period: string,
): Promise<boolean> {
  const recent = await db.orm
    .select({ id: outboundMessages.id })
    .from(outboundMessages)
    .where(
      and(
        eq(outboundMessages.userId, userId),
        eq(outboundMessages.kind, kind),
        ne(outboundMessages.state, 'cancelled'),
        gt(outboundMessages.createdAt, sql`now() - ${period}::interval`),
      ),
    )
    .limit(1)
  return recent.length > 0
}

/** Lists the messages of a user that may be on the queue. */
export async function listLiveMessages(db: Database, userId: string): Promise<string[]> {
  const live = await db.orm
    .select({ id: outboundMessages.id })
    .from(outboundMessages)
    .where(
      and(
        eq(outboundMessages.userId, userId),
        inArray(outboundMessages.state, ['pending', 'queued']),
        gt(outboundMessages.expiresAt, sql`now()`),
      ),
    )
  return live.map(({ id }) => id)
}

/** Messages that wait for a relay, and since when the oldest does. */
export interface PendingMessages {
  pending: number
  oldestAt: Date | undefined
}

export async function countPendingMessages(db: Database): Promise<PendingMessages> {
  const [row] = await db.orm
    .select({ pending: count(), oldestAt: min(outboundMessages.createdAt) })
    .from(outboundMessages)
    .where(eq(outboundMessages.state, 'pending'))
  return { pending: row?.pending ?? 0, oldestAt: row?.oldestAt ?? undefined }
}
