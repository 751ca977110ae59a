import type { DeliveryError, StatusEvent } from '@tidings/shared/status-event'
import { isUuid } from '@tidings/shared/uuid'
import type { Database } from '../database.ts'
import { CountGroups } from './count-groups.ts'
import { PROBE_SOURCE } from './probe-events.ts'

/** The outcome of one event of a batch that was written. */
export type StoreOutcome = 'stored' | 'duplicate' | 'conflict' | 'unknown_user' | 'other_user'

// True when no stored event of the notification names another user than the event `e`. All that name one name the same,
// so reading one row of the index is enough.
const IS_OWNER = `coalesce((
    SELECT s.user_id FROM notification_status s
    WHERE s.notification_id = e.notification_id AND s.notification_type = e.notification_type
      AND s.user_id IS NOT NULL
    LIMIT 1), e.user_id) = e.user_id`

const COLUMNS = `id, user_id, "timestamp", received_at, notification_type, status, attempt, notification_id, source,
    error, error_code, error_class, event_id, content_hash, provider, provider_message_id, category, recipient_digest,
    metadata`

/** Connections whose process ids have the same remainder change the same counts, one after the other. */
const SLOTS = 16

// One prepared statement for any batch size: one plan, one round trip. It leaves out events of unknown users, so that
// they do not fail the others; the foreign key guards against a user who is erased meanwhile. It leaves out events that
// name another user than an earlier event of the notification. It returns the ids that did not become rows: nearly
// always none. It inserts in id order, because two statements with shared events could otherwise deadlock.
// `counted` counts the events of each group but those left out. It runs after all rows are inserted and changes the
// counts in the order of the groups, so that statements never wait for each other in a circle. Counting takes 2 to 5 %
// of the processor time of a batch of 500, and a tenth of one of 100.
const INSERT = `
WITH event AS (
  SELECT * FROM unnest(
    $1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::notification_type[],
    $6::notification_status_name[], $7::int[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
    $13::text[], $14::bytea[], $15::text[], $16::text[], $17::text[], $18::bytea[], $19::jsonb[]
  ) AS e(${COLUMNS})
), stored AS (
  INSERT INTO notification_status (${COLUMNS})
  SELECT ${COLUMNS} FROM event e WHERE e.user_id IS NULL
    OR (EXISTS (SELECT 1 FROM users u WHERE u.id = e.user_id) AND ${IS_OWNER})
  ORDER BY e.id
  ON CONFLICT (id) DO NOTHING
  RETURNING id
), left_out AS MATERIALIZED (
  SELECT id, count_group FROM unnest($1::uuid[], $20::int[]) AS e(id, count_group)
  WHERE NOT EXISTS (SELECT 1 FROM stored s WHERE s.id = e.id)
), counted AS (
  INSERT INTO status_counts (hour, notification_type, status, source, provider, category, error_class, slot, count)
  SELECT hour, notification_type, status, source, provider, category, error_class, pg_backend_pid() % ${SLOTS}, stored
  FROM (
    SELECT *, events - (SELECT count(*) FROM left_out WHERE count_group = place - 1) AS stored
    FROM unnest($21::timestamptz[], $22::notification_type[], $23::notification_status_name[], $24::text[],
      $25::text[], $26::text[], $27::text[], $28::int[]) WITH ORDINALITY
      AS g(hour, notification_type, status, source, provider, category, error_class, events, place)
    ORDER BY place
  ) g
  WHERE stored > 0 AND source <> '${PROBE_SOURCE}'
  ON CONFLICT (hour, notification_type, status, source, provider, category, error_class, slot)
    DO UPDATE SET count = status_counts.count + excluded.count
)
SELECT id FROM left_out`

const FIND = `SELECT id, content_hash FROM notification_status WHERE id = ANY($1::uuid[])`
const FIND_USERS = `SELECT id FROM users WHERE id = ANY($1::uuid[])`
const FIND_OTHERS = `SELECT (e.place - 1)::int AS index
  FROM unnest($1::uuid[], $2::text[], $3::notification_type[]) WITH ORDINALITY
    AS e(user_id, notification_id, notification_type, place)
  WHERE NOT (${IS_OWNER})`

/**
 * Stores a batch. The first statement stores its rows whole or not at all. Storing an event again changes nothing:
 * the same content is a `duplicate`, another content under the same idempotency key a `conflict`. An event that names
 * another user than an earlier event of its notification is `other_user`. Two statements at the same time may store
 * both; readers then go by the first. Statistics count the events that it stores, in the same statement.
 *
 * @param countGroups keeps the names that are counted; one for each process.
 * @returns the outcome of each event, in order.
 * @throws PostgreSQL's error; classifyFailure tells its class. Some rows may be stored. Storing the batch again is
 *   harmless.
 */
export async function storeStatusEvents(
  db: Database,
  events: readonly StatusEvent[],
  countGroups = new CountGroups(),
): Promise<StoreOutcome[]> {
  const first = selectFirst(events)
  const unique = first.size === events.length ? events : events.filter((_, index) => first.has(index))
  const left = await db.pool.query<{ id: string }>({
    name: 'store-status-events',
    text: INSERT,
    values: [...columnsOf(unique), ...countColumnsOf(unique, countGroups)],
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
  const later = raced.length === 0 ? [] : await storeStatusEvents(db, raced, countGroups)
  return outcomes.map((outcome) => outcome ?? later.shift() ?? 'stored')
}

/**
 * Selects what one statement inserts. A batch may hold the same event twice, two contents under one key, or two users
 * of one notification: the first one is inserted.
 *
 * @returns indexes
 */
function selectFirst(events: readonly StatusEvent[]): ReadonlySet<number> {
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

/** Why each event was not inserted, in order; undefined for an event that could be inserted now. */
async function explainNotStored(
  db: Database,
  events: readonly StatusEvent[],
): Promise<(StoreOutcome | undefined)[]> {
  const found = await db.pool.query<{ id: string; content_hash: Buffer | null }>(FIND, [
    events.map((e) => e.id),
  ])
  const hashes = new Map(found.rows.map((row) => [row.id, row.content_hash?.toString('hex')]))
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

/** The group of each event, and the columns of the groups. */
function countColumnsOf(events: readonly StatusEvent[], countGroups: CountGroups): unknown[][] {
  const { groups, indexes } = countGroups.assign(events)
  return [
    indexes,
    groups.map((group) => group.hour),
    groups.map((group) => group.notification_type),
    groups.map((group) => group.status),
    groups.map((group) => group.source),
    groups.map((group) => group.provider),
    groups.map((group) => group.category),
    groups.map((group) => group.error_class),
    groups.map((group) => group.events),
  ]
}

/** Null for an empty column: `unnest` fills it with NULLs. Most batches leave half of the columns empty. */
const optional = (values: unknown[]) => (values.every((value) => value === undefined) ? null : values)

function errorParts(error: DeliveryError | undefined) {
  return typeof error === 'string' ? { message: error, code: undefined, class: undefined } : error
}

/** Maps the event id of each row to its content digest; undefined when the row has no idempotency key. */
export type StoredContent = ReadonlyMap<string, string | undefined>

/** Finds the rows with these event ids. An id that is not a UUID has none. */
export async function findStoredContent(db: Database, ids: readonly string[]): Promise<StoredContent> {
  const found = await db.pool.query<{ id: string; content_hash: Buffer | null }>(FIND, [ids.filter(isUuid)])
  return new Map(found.rows.map((row) => [row.id, row.content_hash?.toString('hex')]))
}
