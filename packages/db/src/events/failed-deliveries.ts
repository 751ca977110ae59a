import { hash } from 'node:crypto'
import type { NotificationType, StatusEvent } from '@tidings/shared/status-event'
import type pg from 'pg'
import type { Database } from '../database.ts'

/** Failed deliveries in a row that suppress a recipient for a while. */
const FAILURES_IN_A_ROW = 3
/** They must lie within this time, and the recipient is suppressed for as long, in hours. */
export const FAILURE_PERIOD_HOURS = 72

// In a fixed order, which prevents deadlocks.
const RECORD = `
INSERT INTO failed_deliveries AS f (channel, recipient_digest, attempt_digest, at)
SELECT channel, recipient_digest, attempt_digest, max(at)
FROM unnest($1::notification_type[], $2::bytea[], $3::bytea[], $4::timestamptz[])
  AS e(channel, recipient_digest, attempt_digest, at)
GROUP BY channel, recipient_digest, attempt_digest ORDER BY channel, recipient_digest, attempt_digest
ON CONFLICT (channel, recipient_digest, attempt_digest) DO UPDATE SET at = greatest(f.at, excluded.at)`

const FIND_REPEATED = `
SELECT channel, encode(recipient_digest, 'hex') AS digest, max(at) AS last_at
FROM failed_deliveries
WHERE (channel, recipient_digest) IN (SELECT * FROM unnest($1::notification_type[], $2::bytea[]))
  AND at > now() - interval '${FAILURE_PERIOD_HOURS} hours'
GROUP BY channel, recipient_digest
HAVING count(*) >= ${FAILURES_IN_A_ROW}`

/** A few at a time, so that the table stays small. Those that another transaction removes or changes are skipped. */
const REMOVE_OLD = `
DELETE FROM failed_deliveries WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM failed_deliveries WHERE at < now() - interval '${FAILURE_PERIOD_HOURS} hours'
  LIMIT 100 FOR UPDATE SKIP LOCKED))`

/** A recipient to whom several deliveries in a row failed. */
export interface RepeatedFailure {
  channel: NotificationType
  digest: string
  last_at: Date
}

/** When it happened. A producer's clock may be ahead. */
export const timeOf = ({ timestamp, received_at }: StatusEvent) =>
  new Date(Math.min(Date.parse(timestamp), Date.parse(received_at)))

/**
 * Records failed deliveries, and finds the recipients of these events that have too many.
 *
 * @param events failures of trusted sources, with a recipient.
 */
export async function recordFailures(
  client: pg.PoolClient,
  events: readonly StatusEvent[],
): Promise<RepeatedFailure[]> {
  if (events.length === 0) return []
  const channels = events.map((event) => event.notification_type)
  const digests = events.map((event) => `\\x${event.recipient_digest}`)
  // Two transactions that store failures of one recipient take turns: otherwise neither would see the other's.
  await client.query(
    `SELECT pg_advisory_xact_lock(key) FROM (
       SELECT DISTINCT hashtextextended(name, 0) AS key FROM unnest($1::text[]) AS n(name) ORDER BY key) AS keys`,
    [digests.map((digest) => `failures ${digest}`)],
  )
  const attempts = events.map(({ notification_id, attempt }) =>
    hash('sha256', `${attempt ?? ''}:${notification_id}`, 'buffer'),
  )
  await client.query(RECORD, [channels, digests, attempts, events.map(timeOf)])
  const { rows } = await client.query<RepeatedFailure>(FIND_REPEATED, [channels, digests])
  await client.query(REMOVE_OLD)
  return rows
}

const FORGET = `
WITH forgotten AS MATERIALIZED (
  SELECT channel, recipient_digest, attempt_digest FROM failed_deliveries
  WHERE channel = $1 AND recipient_digest = ANY($2::bytea[])
  ORDER BY channel, recipient_digest, attempt_digest FOR UPDATE
)
DELETE FROM failed_deliveries f USING forgotten e
WHERE (f.channel, f.recipient_digest, f.attempt_digest) = (e.channel, e.recipient_digest, e.attempt_digest)`

/** Forgets the failed deliveries to these recipients. Outside of a transaction that holds suppressions: writers lock those later. */
export async function forgetFailures(
  db: Database,
  channel: NotificationType,
  digests: readonly string[],
): Promise<void> {
  await db.pool.query(FORGET, [channel, digests.map((digest) => `\\x${digest}`)])
}
