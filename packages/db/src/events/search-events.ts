import type { NotificationType, Status } from '@tidings/shared/status-event'
import { and, desc, eq, gte, inArray, like, lte, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database.ts'
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
  return (await searchStatement(db, search, page)).map(toStoredEvent)
}

/** The statement of searchEvents, for the tests of its plans. */
export function searchStatement(db: Database, search: EventSearch, { limit, after }: EventPage) {
  const t = notificationStatus
  const { recipients, notificationIdPrefix: prefix } = search
  const conditions: (SQL | undefined)[] = [
    search.userId === undefined ? undefined : eq(t.userId, search.userId),
    recipients && inArray(t.recipientDigest, recipients.map(fromHex)),
    search.notificationId === undefined ? undefined : eq(t.notificationId, search.notificationId),
    prefix === undefined ? undefined : like(t.notificationId, `${escapeLike(prefix)}%`),
    search.provider === undefined ? undefined : eq(t.provider, search.provider),
    search.providerMessageId === undefined ? undefined : eq(t.providerMessageId, search.providerMessageId),
    search.source === undefined ? undefined : eq(t.source, search.source),
    search.status && eq(t.status, search.status),
    search.errorCode === undefined ? undefined : eq(t.errorCode, search.errorCode),
    search.type && eq(t.notificationType, search.type),
    search.from && gte(t.timestamp, search.from),
    search.to && lte(t.timestamp, search.to),
    // A comparison of rows: unlike OR, it bounds the part of the index that is read.
    after &&
      sql`(${t.timestamp}, ${t.id}) < (${after.timestamp.toISOString()}::timestamptz, ${after.id}::uuid)`,
  ]
  return db.orm
    .select()
    .from(t)
    .where(and(...conditions))
    .orderBy(desc(t.timestamp), desc(t.id))
    .limit(limit)
}

const fromHex = (digest: string) => Buffer.from(digest, 'hex')

/** Escapes the characters that LIKE reads as patterns. */
const escapeLike = (text: string) => text.replace(/[\\%_]/g, String.raw`\$&`)

/** Finds the event with this id. */
export async function findEvent(db: Database, id: string): Promise<StoredEvent | undefined> {
  const [row] = await db.orm.select().from(notificationStatus).where(eq(notificationStatus.id, id))
  return row && toStoredEvent(row)
}
