import type { DeliveryError, StatusEvent } from '@tidings/shared/status-event'
import type { Database } from '../database.ts'
import { MIN_DEDUPLICATION_DAYS, mayHaveLostKey } from './deduplication-window.ts'
import { findRows, findStoredContent } from './stored-content.ts'

/** The outcome of one event of a batch that was written. */
export type StoreOutcome = 'stored' | 'duplicate' | 'conflict' | 'unknown_user' | 'other_user'

// True when no stored event of the notification names another user than the event `e`. All that name one name the same,
// so reading one row of the index is enough. The bounds leave two or three partitions of many to look into:
// docs/decisions/0021-partitions-and-identity.md.
const IS_OWNER = `coalesce((
    SELECT s.user_id FROM notification_status s
    WHERE s.notification_id = e.notification_id AND s.notification_type = e.notification_type
      AND s.user_id IS NOT NULL
      AND s.received_at > now() - interval '${MIN_DEDUPLICATION_DAYS} days' AND s.received_at < now() + interval '1 day'
    LIMIT 1), e.user_id) = e.user_id`

const COLUMNS = `id, user_id, "timestamp", received_at, notification_type, status, attempt, notification_id, source,
    error, error_code, error_class, event_id, content_hash, provider, provider_message_id, category, recipient_digest,
    metadata`

// One prepared statement for any batch size: one plan, one round trip.
// - `event`: the batch.
// - `storable` leaves out events of unknown users, so that they do not fail the others; the foreign key guards against a
//   user who is erased meanwhile. It leaves out events that name another user than an earlier event of the notification.
// - `new_key` alone decides which events are new. It inserts in id order, because two statements with shared events
//   could otherwise deadlock.
// - `stored`: the events whose rows this statement inserts, with all columns. To return them from `inserted` instead
//   takes a tenth more CPU time.
// It returns the ids that did not become rows: nearly always none.
const INSERT = `
WITH event AS (
  SELECT * FROM unnest(
    $1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::notification_type[],
    $6::notification_status_name[], $7::int[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
    $13::text[], $14::bytea[], $15::text[], $16::text[], $17::text[], $18::bytea[], $19::jsonb[]
  ) AS e(${COLUMNS})
), storable AS (
  SELECT * FROM event e WHERE e.user_id IS NULL
    OR (EXISTS (SELECT 1 FROM users u WHERE u.id = e.user_id) AND ${IS_OWNER})
), new_key AS (
  INSERT INTO event_keys (id, received_at, content_hash)
  SELECT id, received_at, content_hash FROM storable ORDER BY id
  ON CONFLICT (id) DO NOTHING
  RETURNING id
), stored AS (
  SELECT * FROM event WHERE id IN (SELECT id FROM new_key)
), inserted AS (
  INSERT INTO notification_status (${COLUMNS})
  SELECT ${COLUMNS} FROM stored
)
SELECT id FROM event WHERE NOT EXISTS (SELECT 1 FROM new_key k WHERE k.id = event.id)`

const FIND_USERS = `SELECT id FROM users WHERE id = ANY($1::uuid[])`
const FIND_OTHERS = `SELECT (e.place - 1)::int AS index
  FROM unnest($1::uuid[], $2::text[], $3::notification_type[]) WITH ORDINALITY
    AS e(user_id, notification_id, notification_type, place)
  WHERE NOT (${IS_OWNER})`

/**
 * Stores a batch. The first statement stores its rows whole or not at all. Storing an event again changes nothing:
 * the same content is a `duplicate`, another content under the same idempotency key a `conflict`. An event that names
 * another user than an earlier event of its notification is `other_user`. Two statements at the same time may store
 * both; readers then go by the first.
 *
 * An event that was received longer ago than keys are kept, such as one of an old dead letter, is a repeat when its
 * notification has a row with its id.
 *
 * @returns the outcome of each event, in order.
 * @throws PostgreSQL's error; classifyFailure tells its class. Some rows may be stored. Storing the batch again is
 *   harmless.
 */
export async function storeStatusEvents(
  db: Database,
  events: readonly StatusEvent[],
): Promise<StoreOutcome[]> {
  const first = selectFirst(events)
  for (const index of await findOldStored(db, events)) first.delete(index)
  const unique = first.size === events.length ? events : events.filter((_, index) => first.has(index))
  const left =
    unique.length === 0
      ? { rows: [] }
      : await db.pool.query<{ id: string }>({
          name: 'store-status-events',
          text: INSERT,
          values: columnsOf(unique),
        })
  if (left.rows.length === 0 && unique === events) return events.map(() => 'stored')

  const leftIds = new Set(left.rows.map((row) => row.id))
  const isStored = (event: StatusEvent, index: number) => first.has(index) && !leftIds.has(event.id)
  const reasons = await explainNotStored(
    db,
    events.filter((event, index) => !isStored(event, index)),
  )
  const outcomes = events.map((event, index) => (isStored(event, index) ? 'stored' : reasons.shift()))
  // No reason found: a concurrent transaction changed the rows between the two statements. Insert these now.
  const raced = events.filter((_, index) => outcomes[index] === undefined)
  const later = raced.length === 0 ? [] : await storeStatusEvents(db, raced)
  return outcomes.map((outcome) => outcome ?? later.shift() ?? 'stored')
}

/**
 * Selects what one statement inserts. A batch may hold the same event twice, two contents under one key, or two users
 * of one notification: the first one is inserted.
 *
 * @returns indexes
 */
function selectFirst(events: readonly StatusEvent[]): Set<number> {
  const selected = new Set<number>()
  const ids = new Set<string>()
  const owners = new Map<string, string>()
  events.forEach(({ id, user_id, notification_id, notification_type }, index) => {
    if (ids.has(id)) return
    ids.add(id)
    if (user_id !== undefined) {
      const notification = `${notification_type} ${notification_id}`
      const owner = owners.get(notification) ?? user_id
      if (owner !== user_id) return
      owners.set(notification, owner)
    }
    selected.add(index)
  })
  return selected
}

/** Finds the events whose key may be gone and whose row is there. Returns indexes; nearly always none. */
async function findOldStored(db: Database, events: readonly StatusEvent[]): Promise<number[]> {
  const now = Date.now()
  const old = events.flatMap((event, index) => (mayHaveLostKey(event.received_at, now) ? [index] : []))
  if (old.length === 0) return []
  const stored = await findRows(
    db,
    old.flatMap((index) => events[index] ?? []),
  )
  return old.filter((index) => stored.has(events[index]?.id ?? ''))
}

/** Why each event was not inserted, in order; undefined for an event that could be inserted now. */
async function explainNotStored(
  db: Database,
  events: readonly StatusEvent[],
): Promise<(StoreOutcome | undefined)[]> {
  const hashes = await findStoredContent(db, events)
  const absent = events.filter((event) => !hashes.has(event.id))
  const known = absent.length === 0 ? new Set() : await findUsers(db, absent)
  const others = absent.length === 0 ? new Set() : await findOthers(db, absent)
  return events.map((event) => {
    if (hashes.has(event.id)) return hashes.get(event.id) === event.content_hash ? 'duplicate' : 'conflict'
    if (event.user_id !== undefined && !known.has(event.user_id)) return 'unknown_user'
    return others.has(event) ? 'other_user' : undefined
  })
}

/** Finds the events that name another user than a stored event of their notification. */
async function findOthers(
  db: Database,
  events: readonly StatusEvent[],
): Promise<Set<StatusEvent | undefined>> {
  const { rows } = await db.pool.query<{ index: number }>(FIND_OTHERS, [
    events.map((event) => event.user_id),
    events.map((event) => event.notification_id),
    events.map((event) => event.notification_type),
  ])
  return new Set(rows.map(({ index }) => events[index]))
}

async function findUsers(db: Database, events: readonly StatusEvent[]): Promise<Set<string>> {
  const users = await db.pool.query<{ id: string }>(FIND_USERS, [events.map((event) => event.user_id)])
  return new Set(users.rows.map((row) => row.id))
}

/** The columns in the order of the statement's parameters; null for a column in which no event has a value. */
function columnsOf(events: readonly StatusEvent[]): (unknown[] | null)[] {
  const errors = events.map((event) => errorParts(event.error))
  return [
    events.map((event) => event.id),
    optional(events.map((event) => event.user_id)),
    events.map((event) => event.timestamp),
    events.map((event) => event.received_at),
    events.map((event) => event.notification_type),
    events.map((event) => event.status),
    optional(events.map((event) => event.attempt)),
    events.map((event) => event.notification_id),
    events.map((event) => event.source),
    optional(errors.map((error) => error?.message)),
    optional(errors.map((error) => error?.code)),
    optional(errors.map((error) => error?.class)),
    optional(events.map((event) => event.event_id)),
    optional(events.map((event) => event.content_hash && `\\x${event.content_hash}`)),
    optional(events.map((event) => event.provider)),
    optional(events.map((event) => event.provider_message_id)),
    optional(events.map((event) => event.category)),
    optional(events.map((event) => event.recipient_digest && `\\x${event.recipient_digest}`)),
    optional(events.map((event) => event.metadata && JSON.stringify(event.metadata))),
  ]
}

/** Null for an empty column: `unnest` fills it with NULLs. Most batches leave half of the columns empty. */
const optional = (values: unknown[]) => (values.every((value) => value === undefined) ? null : values)

function errorParts(error: DeliveryError | undefined) {
  return typeof error === 'string' ? { message: error, code: undefined, class: undefined } : error
}
