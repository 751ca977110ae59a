import { NOTIFICATION_TYPES } from '@tidings/shared/status-event'
import { isUuid } from '@tidings/shared/uuid'
import type { Database } from '../database.ts'

const FIND_KEYS = 'SELECT id, content_hash FROM event_keys WHERE id = ANY($1::uuid[])'
// LATERAL with LIMIT: one look into the index for each event, whatever the planner knows of new partitions.
const FIND_ROWS = `SELECT s.id, s.content_hash
  FROM unnest($1::uuid[], $2::text[], $3::notification_type[]) AS e(id, notification_id, notification_type)
  CROSS JOIN LATERAL (
    SELECT id, content_hash FROM notification_status s
    WHERE s.notification_id = e.notification_id AND s.notification_type = e.notification_type AND s.id = e.id
    LIMIT 1
  ) s`

/** Maps the id of each stored event to its content digest; undefined when it has no idempotency key. */
export type StoredContent = ReadonlyMap<string, string | undefined>

/** What finds an event: its id within the deduplication window, the notification as well after it. */
export interface EventReference {
  id?: string | undefined
  notification_id?: string | undefined
  notification_type?: string | undefined
}

interface FoundContent {
  id: string
  content_hash: Buffer | null
}

/** Finds the stored events among these. An id that is not a UUID is none of a stored event. */
export async function findStoredContent(
  db: Database,
  events: readonly EventReference[],
): Promise<StoredContent> {
  const ids = events.flatMap(({ id }) => (id !== undefined && isUuid(id) ? [id] : []))
  if (ids.length === 0) return new Map()
  const keys = toContent((await db.pool.query<FoundContent>(FIND_KEYS, [ids])).rows)
  const rows = await findRows(
    db,
    events.filter(({ id = '' }) => !keys.has(id)),
  )
  return new Map([...keys, ...rows])
}

/** Finds rows by notification and id, in all partitions: for events whose key may be gone. */
export async function findRows(db: Database, events: readonly EventReference[]): Promise<StoredContent> {
  const searchable = events.filter(
    ({ id = '', notification_id, notification_type }) =>
      isUuid(id) && isStorableText(notification_id) && isType(notification_type),
  )
  if (searchable.length === 0) return new Map()
  const { rows } = await db.pool.query<FoundContent>(FIND_ROWS, [
    searchable.map(({ id }) => id),
    searchable.map(({ notification_id }) => notification_id),
    searchable.map(({ notification_type }) => notification_type),
  ])
  return toContent(rows)
}

// PostgreSQL refuses NUL, which an unreadable event may hold.
const isStorableText = (text: string | undefined) => text !== undefined && !text.includes('\0')
const TYPES: readonly unknown[] = NOTIFICATION_TYPES
const isType = (type: unknown) => TYPES.includes(type)

const toContent = (rows: readonly FoundContent[]) =>
  new Map(rows.map((row) => [row.id, row.content_hash?.toString('hex')]))
