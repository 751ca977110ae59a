import type { DeliveryError, StatusEvent } from '@tidings/shared/status-event'
import type pg from 'pg'
import { isDelivery } from './consequences.ts'
import type { CountGroups } from './count-groups.ts'
import { MIN_DEDUPLICATION_DAYS } from './deduplication-window.ts'
import { PROBE_SOURCE } from './probe-events.ts'

// True when no stored event of the notification names another user than the event `e`. All that name one name the same,
// so reading one row of the index is enough. The bounds leave two or three partitions of many to look into:
// docs/decisions/0023-partitions-and-identity.md.
export const IS_OWNER = `coalesce((
    SELECT s.user_id FROM notification_status s
    WHERE s.notification_id = e.notification_id AND s.notification_type = e.notification_type
      AND s.user_id IS NOT NULL
      AND s.received_at > now() - interval '${MIN_DEDUPLICATION_DAYS} days' AND s.received_at < now() + interval '1 day'
    LIMIT 1), e.user_id) = e.user_id`

const COLUMNS = `id, user_id, "timestamp", received_at, notification_type, status, attempt, notification_id, source,
    error, error_code, error_class, event_id, content_hash, provider, provider_message_id, category, recipient_digest,
    metadata`

/** Connections whose process ids have the same remainder change the same counts, one after the other. */
const SLOTS = 16

// One prepared statement for any batch size: one plan, one round trip.
// - `event`: the batch.
// - `storable` leaves out events of unknown users, so that they do not fail the others; the foreign key guards against a
//   user who is erased meanwhile. It leaves out events that name another user than an earlier event of the notification.
// - `new_key` alone decides which events are new. It inserts in id order, because two statements with shared events
//   could otherwise deadlock.
// - `stored`: the events whose rows this statement inserts, with all columns. To return them from `inserted` instead
//   takes a tenth more CPU time.
// - `counted` counts the events of each group but those left out. It runs after all keys are inserted and changes the
//   counts in the order of the groups, so that statements never wait for each other in a circle. Counting takes 2 to 5 %
//   of the processor time of a batch of 500, and a tenth of one of 100.
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
), left_out AS MATERIALIZED (
  SELECT id, count_group FROM unnest($1::uuid[], $20::int[]) AS e(id, count_group)
  WHERE NOT EXISTS (SELECT 1 FROM new_key k WHERE k.id = e.id)
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

// For a batch with deliveries that trusted sources report ($29). Each ends the row of failures before it. PostgreSQL runs
// it after `counted`, which follows it: every writer changes the counts first. It locks the failures in the order of
// recordFailures, so that two transactions never wait for each other in a circle.
const INSERT_DELIVERIES = INSERT.replace(
  ', counted AS (',
  `, ended AS MATERIALIZED (
  SELECT f.channel, f.recipient_digest, f.attempt_digest
  FROM failed_deliveries f JOIN stored s ON f.channel = s.notification_type AND f.recipient_digest = s.recipient_digest
  WHERE s.id = ANY($29::uuid[]) AND f.at <= least(s."timestamp", s.received_at)
  ORDER BY f.channel, f.recipient_digest, f.attempt_digest FOR UPDATE OF f
), cleared AS (
  DELETE FROM failed_deliveries f USING ended e
  WHERE (f.channel, f.recipient_digest, f.attempt_digest) = (e.channel, e.recipient_digest, e.attempt_digest)
), counted AS (`,
)

/**
 * Inserts the events that are new, and counts them, in one statement.
 *
 * @param events no two have the same id.
 * @param trusted those of them that trusted sources reported.
 * @returns the ids of the events that did not become rows.
 */
export async function insertEvents(
  client: pg.Pool | pg.PoolClient,
  events: readonly StatusEvent[],
  trusted: readonly StatusEvent[],
  countGroups: CountGroups,
): Promise<Set<string>> {
  if (events.length === 0) return new Set()
  const deliveries = trusted.filter(isDelivery)
  const values = [...columnsOf(events), ...countColumnsOf(events, countGroups)]
  const left = await (client as pg.PoolClient).query<{ id: string }>(
    deliveries.length === 0
      ? { name: 'store-status-events', text: INSERT, values }
      : {
          name: 'store-deliveries',
          text: INSERT_DELIVERIES,
          values: [...values, deliveries.map((event) => event.id)],
        },
  )
  return new Set(left.rows.map((row) => row.id))
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
