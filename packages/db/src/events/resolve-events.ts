import { isTrusted, signFeedback } from '@tidings/shared/feedback'
import type { StatusEvent, UnresolvedEvent } from '@tidings/shared/status-event'
import type { Database } from '../database.ts'
import { MIN_DEDUPLICATION_DAYS } from './deduplication-window.ts'

// The first row of the message decides, so that the answer stays the same when later events of the message are stored.
// A provider may give one id to a message with several recipients: the first row of the same recipient comes before.
// The bounds leave a few partitions of many to look into, as in insert-events.ts.
export const RESOLVE = `
SELECT (e.place - 1)::int AS index, named.* FROM unnest($1::text[], $2::text[], $3::notification_type[], $4::bytea[])
  WITH ORDINALITY AS e(provider, provider_message_id, notification_type, recipient_digest, place)
CROSS JOIN LATERAL (
  SELECT s.notification_id, s.user_id, s.attempt, s.category FROM notification_status s
  WHERE s.provider_message_id = e.provider_message_id AND s.provider = e.provider
    AND s.notification_type = e.notification_type
    AND s.received_at > $5 AND s.received_at < now() + interval '1 day'
  ORDER BY coalesce(s.recipient_digest = e.recipient_digest, false) DESC, s.received_at, s.id
  LIMIT 1
) AS named`

/** What an event takes from the row that names its notification. */
interface NamedRow {
  index: number
  notification_id: string
  user_id: string | null
  attempt: number | null
  category: string | null
}

const DAY_MS = 86_400_000

/**
 * Finds the notifications of events that name their message only, in one query: an earlier event of the same type,
 * provider and message names it. It looks at rows that were received up to 35 days before the events.
 *
 * @param events at most 500.
 * @param recipientKey see signFeedback.
 * @returns the events with their notification, in order; undefined where no row names it yet.
 */
export async function resolveEvents(
  db: Database,
  events: readonly UnresolvedEvent[],
  recipientKey: string,
): Promise<(StatusEvent | undefined)[]> {
  const { rows } = await db.pool.query<NamedRow>({
    // To plan a query over many partitions takes longer than to run it.
    name: 'resolve-events',
    text: RESOLVE,
    values: valuesOf(events),
  })
  const byIndex = new Map(rows.map((row) => [row.index, row]))
  return events.map((event, index) => {
    const row = byIndex.get(index)
    return row && withNotification(event, row, recipientKey)
  })
}

/** The parameters of RESOLVE. */
export function valuesOf(events: readonly UnresolvedEvent[]): unknown[] {
  const oldestMs = Math.min(...events.map((event) => Date.parse(event.received_at)))
  return [
    events.map((event) => event.provider),
    events.map((event) => event.provider_message_id),
    events.map((event) => event.notification_type),
    events.map((event) => event.recipient_digest && `\\x${event.recipient_digest}`),
    new Date(oldestMs - MIN_DEDUPLICATION_DAYS * DAY_MS),
  ]
}

/** The id and the content digest stay, so that the same event that is resolved twice is stored once. */
function withNotification(event: UnresolvedEvent, row: NamedRow, recipientKey: string): StatusEvent {
  const { feedback: _, ...reported } = event
  const resolved: StatusEvent = {
    ...reported,
    notification_id: row.notification_id,
    user_id: event.user_id ?? row.user_id ?? undefined,
    attempt: event.attempt ?? row.attempt ?? undefined,
    category: event.category ?? row.category ?? undefined,
  }
  // The signature covers the fields that were just added.
  return isTrusted(recipientKey, event)
    ? { ...resolved, feedback: signFeedback(recipientKey, resolved) }
    : resolved
}
