import type { NotificationType, Status } from '@tidings/shared/status-event'
import { and, count, desc, eq, inArray, like, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { escapeLike } from '../escape-like.ts'
import { eventKeys } from '../schema/event-keys.ts'
import { notificationStatus } from '../schema/notification-status.ts'
import { type HistoryPosition, type StoredEvent, toStoredEvent } from './notifications.ts'

/** Conditions for events; all that are set must hold. */
export interface EventSearch {
  userId?: string | undefined
  /** Digests of digestRecipient, in hex; any of them. */
  recipients?: readonly string[] | undefined
  notificationId?: string | undefined
  notificationIdPrefix?: string | undefined
  provider?: string | undefined
  providerMessageId?: string | undefined
  source?: string | undefined
  status?: Status | undefined
  errorCode?: string | undefined
  type?: NotificationType | undefined
  from?: Date | undefined
  to?: Date | undefined
}

export interface EventPage {
  limit: number
  after?: HistoryPosition | undefined
}

/**
 * Searches events, newest first. A search without one of the conditions that have an index reads the events by time:
 * the caller bounds it by `from`.
 */
export async function searchEvents(
  db: Database,
  search: EventSearch,
  page: EventPage,
): Promise<StoredEvent[]> {
  const { notificationIdPrefix: prefix } = search
  const isRare = prefix !== undefined && (await countPrefixed(db, prefix)) <= FEW_EVENTS
  return (await searchStatement(db, search, page, isRare)).map(toStoredEvent)
}

/** A prefix of up to this many events is rare: all of them are read and sorted. */
const FEW_EVENTS = 10_000

async function countPrefixed(db: Database, prefix: string): Promise<number> {
  const [row] = await db.orm.select({ events: count() }).from(prefixedStatement(db, prefix).as('prefixed'))
  return row?.events ?? 0
}

/**
 * Selects events with a prefix, at most FEW_EVENTS + 1. In the order of the index: PostgreSQL would otherwise read the
 * table when it believes that there are many.
 */
export function prefixedStatement(db: Database, prefix: string) {
  const t = notificationStatus
  return db.orm
    .select({ id: t.notificationId })
    .from(t)
    .where(hasPrefix(prefix))
    .orderBy(sql`${t.notificationId} USING ~<~`)
    .limit(FEW_EVENTS + 1)
}

/**
 * The statement of searchEvents.
 *
 * @param isRare whether few events have the prefix. PostgreSQL estimates that badly, and would read all events by time
 *   until it has found enough. No index holds this expression of the time, so that it uses the index of the prefix.
 */
export function searchStatement(
  db: Database,
  search: EventSearch,
  { limit, after }: EventPage,
  isRare: boolean,
) {
  const t = notificationStatus
  const { recipients, notificationIdPrefix: prefix } = search
  const time = isRare ? sql`${t.timestamp} + interval '0'` : sql`${t.timestamp}`
  const conditions: (SQL | undefined)[] = [
    search.userId === undefined ? undefined : eq(t.userId, search.userId),
    recipients && inArray(t.recipientDigest, recipients.map(fromHex)),
    search.notificationId === undefined ? undefined : eq(t.notificationId, search.notificationId),
    prefix === undefined ? undefined : hasPrefix(prefix),
    search.provider === undefined ? undefined : eq(t.provider, search.provider),
    search.providerMessageId === undefined ? undefined : eq(t.providerMessageId, search.providerMessageId),
    search.source === undefined ? undefined : eq(t.source, search.source),
    search.status && eq(t.status, search.status),
    search.errorCode === undefined ? undefined : eq(t.errorCode, search.errorCode),
    search.type && eq(t.notificationType, search.type),
    search.from && sql`${time} >= ${search.from.toISOString()}::timestamptz`,
    search.to && sql`${time} <= ${search.to.toISOString()}::timestamptz`,
    // A comparison of rows: unlike OR, it bounds the part of the index that is read.
    after && sql`(${time}, ${t.id}) < (${after.timestamp.toISOString()}::timestamptz, ${after.id}::uuid)`,
  ]
  return db.orm
    .select()
    .from(t)
    .where(and(...conditions))
    .orderBy(desc(time), desc(t.id))
    .limit(limit)
}

const fromHex = (digest: string) => Buffer.from(digest, 'hex')

const hasPrefix = (prefix: string) => like(notificationStatus.notificationId, `${escapeLike(prefix)}%`)

/**
 * Finds the event with this id, while its key is kept: no index holds the ids of older events. The key tells the time of
 * receipt, which leads to the row.
 */
export async function findEvent(db: Database, id: string): Promise<StoredEvent | undefined> {
  const [key] = await db.orm.select().from(eventKeys).where(eq(eventKeys.id, id))
  if (key === undefined) return undefined
  const [row] = await eventStatement(db, key)
  return row && toStoredEvent(row)
}

export function eventStatement(db: Database, { id, receivedAt }: { id: string; receivedAt: Date }) {
  const t = notificationStatus
  return db.orm
    .select()
    .from(t)
    .where(and(eq(t.receivedAt, receivedAt), eq(t.id, id)))
}
