import type { StatusFact } from '@tidings/shared/notification-status'
import {
  type DeliveryError,
  type ErrorClass,
  NOTIFICATION_TYPES,
  type NotificationType,
  type Status,
} from '@tidings/shared/status-event'
import { and, asc, desc, eq, gte, inArray, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { notificationStatus } from '../schema/notification-status.ts'

/** A stored event in the API's shape. Times are ISO 8601. */
export interface StoredEvent extends StatusFact {
  notification_id: string
  source: string
  event_id: string | null
  provider: string | null
  provider_message_id: string | null
  category: string | null
  metadata: unknown
}

/** The events of one notification, which is an id and a type. Both lists are oldest first. */
export interface NotificationEvents {
  /** At most MAX_TIMELINE. */
  timeline: StoredEvent[]
  /** The events that decide its status and its user; all events when there are few. */
  deciding: StoredEvent[]
}

/** Most events on a timeline. Only a runaway producer reports more for one notification. */
export const MAX_TIMELINE = 1000

/** Reads the notifications of these types that have this id, those of `types` in order. Each has events. */
export async function readNotifications(
  db: Database,
  notificationId: string,
  types: readonly NotificationType[] = NOTIFICATION_TYPES,
): Promise<NotificationEvents[]> {
  const all = await listTimeline(db, notificationId, types)
  const isWhole = all.length < MAX_TIMELINE
  const found = await Promise.all(
    types.map(async (type) => {
      const own = all.filter((event) => event.notification_type === type)
      if (isWhole) return { timeline: own, deciding: own }
      const timeline = types.length === 1 ? own : await listTimeline(db, notificationId, [type])
      return { timeline, deciding: await listDecidingEvents(db, notificationId, type) }
    }),
  )
  return found.filter(({ timeline }) => timeline.length > 0)
}

async function listTimeline(
  db: Database,
  notificationId: string,
  types: readonly NotificationType[],
): Promise<StoredEvent[]> {
  const t = notificationStatus
  const rows = await db.orm
    .select()
    .from(t)
    .where(and(eq(t.notificationId, notificationId), inArray(t.notificationType, [...types])))
    .orderBy(...OLDEST_FIRST)
    .limit(MAX_TIMELINE)
    // To plan a query over many partitions takes longer than to run it.
    .prepare(`list-timeline-${types.length}`)
    .execute()
  return rows.map(toStoredEvent)
}

const OLDEST_FIRST = [asc(notificationStatus.timestamp), asc(notificationStatus.id)]

/**
 * Selects the ids of a few of the rows in `event` that fold to the same status as all of them: for each status and
 * error class the first and the last in the order of the fold, and for each status the last in time. It adds the first
 * received event with a user: the notification is that user's. `event` is all events of one notification; `attempt` is
 * not null there, and `time` is the clamped timestamp.
 */
export const DECIDING_IDS = `(SELECT DISTINCT ON (status, error_class) id FROM event
      ORDER BY status, error_class, attempt DESC, time DESC, id DESC)
    UNION (SELECT DISTINCT ON (status, error_class) id FROM event ORDER BY status, error_class, time)
    UNION (SELECT DISTINCT ON (status) id FROM event ORDER BY status, time DESC, id DESC)
    UNION (SELECT id FROM event WHERE user_id IS NOT NULL ORDER BY received_at, id LIMIT 1)`

/** Lists the events of the notification that DECIDING_IDS selects. */
export async function listDecidingEvents(
  db: Database,
  notificationId: string,
  type: NotificationType,
): Promise<StoredEvent[]> {
  const t = notificationStatus
  const isOfNotification = and(eq(t.notificationId, notificationId), eq(t.notificationType, type))
  const deciding = sql`
    WITH event AS MATERIALIZED (
      SELECT ${t.id}, ${t.status}, ${t.errorClass}, ${t.userId}, ${t.receivedAt},
        coalesce(${t.attempt}, 0) AS attempt, least(${t.timestamp}, ${t.receivedAt}) AS time
      FROM ${t} WHERE ${isOfNotification}
    )
    ${sql.raw(DECIDING_IDS)}`
  const rows = await db.orm
    .select()
    .from(t)
    .where(and(isOfNotification, sql`${t.id} IN (${deciding})`))
    .orderBy(...OLDEST_FIRST)
  return rows.map(toStoredEvent)
}

export interface HistoryFilter {
  type?: NotificationType | undefined
  status?: Status | undefined
  from?: Date | undefined
  to?: Date | undefined
}

/** The last event of a page. The next page starts after it. */
export interface HistoryPosition {
  timestamp: Date
  id: string
}

/** Lists a user's events, newest first. */
export async function listUserEvents(
  db: Database,
  userId: string,
  filter: HistoryFilter,
  page: { limit: number; after?: HistoryPosition | undefined },
): Promise<StoredEvent[]> {
  const t = notificationStatus
  const conditions: (SQL | undefined)[] = [
    eq(t.userId, userId),
    filter.type && eq(t.notificationType, filter.type),
    filter.status && eq(t.status, filter.status),
    filter.from && gte(t.timestamp, filter.from),
    filter.to && lte(t.timestamp, filter.to),
    page.after &&
      or(
        lt(t.timestamp, page.after.timestamp),
        and(eq(t.timestamp, page.after.timestamp), lt(t.id, page.after.id)),
      ),
  ]
  const rows = await db.orm
    .select()
    .from(t)
    .where(and(...conditions))
    .orderBy(desc(t.timestamp), desc(t.id))
    .limit(page.limit)
    // The conditions that are there decide the text, so each combination has its own name. See listTimeline.
    .prepare(`list-user-events-${conditions.map((condition) => (condition ? 1 : 0)).join('')}`)
    .execute()
  return rows.map(toStoredEvent)
}

/** A row in the API's shape. */
export function toStoredEvent(row: typeof notificationStatus.$inferSelect): StoredEvent {
  return {
    id: row.id,
    notification_id: row.notificationId,
    notification_type: row.notificationType,
    user_id: row.userId,
    status: row.status,
    error: toError(row.error, row.errorCode, row.errorClass),
    timestamp: row.timestamp.toISOString(),
    received_at: row.receivedAt.toISOString(),
    source: row.source,
    event_id: row.eventId,
    attempt: row.attempt,
    provider: row.provider,
    provider_message_id: row.providerMessageId,
    category: row.category,
    metadata: row.metadata,
  }
}

function toError(
  message: string | null,
  code: string | null,
  errorClass: string | null,
): DeliveryError | null {
  if (message === null) return null
  if (code === null && errorClass === null) return message
  return { ...(code && { code }), ...(errorClass && { class: errorClass as ErrorClass }), message }
}
