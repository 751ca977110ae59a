import { digestRecipient } from '@tidings/shared/recipient'
import type { StatusEvent } from '@tidings/shared/status-event'
import type { SuppressionReason } from '@tidings/shared/suppression'
import { drizzle } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import { addSuppressions, type NewSuppression } from '../suppressions/suppressions.ts'
import { FAILURE_PERIOD_HOURS, recordFailures, timeOf } from './failed-deliveries.ts'

/**
 * What an event does beside becoming a row:
 *
 * - `suppress`: the recipient is not sent to any more.
 * - `count`: three such failures in a row suppress the recipient for a while.
 * - `invalidate`: the device has another token now, or none.
 */
type Consequence =
  | { kind: 'suppress'; reason: SuppressionReason; category: string | null }
  | { kind: 'count' }
  | { kind: 'invalidate' }

/** Whether storing the event of a trusted source does more than add a row. */
export const hasConsequence = (event: StatusEvent): boolean => consequenceOf(event) !== undefined

/** Whether the event ends a row of failures. */
export const isDelivery = ({ status, recipient_digest }: StatusEvent): boolean =>
  status === 'delivered' && recipient_digest !== undefined

function consequenceOf(event: StatusEvent): Consequence | undefined {
  const { status, error, category = null } = event
  if (status === 'complained') return { kind: 'suppress', reason: 'complaint', category: null }
  if (status === 'unsubscribed') return { kind: 'suppress', reason: 'unsubscribe', category }
  if (status !== 'bounced' && status !== 'failed') return undefined
  if (isUnregistered(event)) return { kind: 'invalidate' }
  const errorClass = typeof error === 'object' ? error.class : undefined
  // The sender's own mistake says nothing about the recipient.
  if (errorClass === 'config') return undefined
  // As in the current status, a bounce is permanent unless it says otherwise.
  if (status === 'bounced' && errorClass !== 'transient')
    return { kind: 'suppress', reason: 'bounce', category: null }
  return { kind: 'count' }
}

/** What FCM and APNs answer for a token that is not in use, as `error.code` or as the whole error. */
const UNREGISTERED = new Set([
  'unregistered',
  'notregistered',
  'registration-token-not-registered',
  'messaging/registration-token-not-registered',
  'baddevicetoken',
])

function isUnregistered({ notification_type, error }: StatusEvent): boolean {
  if (notification_type !== 'push' || error === undefined) return false
  const code = typeof error === 'string' ? error : (error.code ?? error.message)
  return UNREGISTERED.has(code.trim().toLowerCase())
}

/**
 * Applies the consequences of events, in the transaction that inserted their rows.
 *
 * @param stored events of trusted sources that became rows.
 */
export async function applyConsequences(
  client: pg.PoolClient,
  stored: readonly StatusEvent[],
  recipientKey: string,
): Promise<void> {
  const items = stored.flatMap((event) => {
    const consequence = consequenceOf(event)
    return consequence === undefined ? [] : [{ event, consequence }]
  })
  const of = (kind: Consequence['kind']) =>
    items.flatMap(({ event, consequence }) => (consequence.kind === kind ? [event] : []))
  await invalidateDevices(client, of('invalidate'), recipientKey)
  const addresses = await findAddresses(client, of('suppress'), recipientKey)
  const added = items.flatMap(({ event, consequence }): NewSuppression[] => {
    const digest = event.recipient_digest ?? addresses.get(event)
    if (consequence.kind !== 'suppress' || digest === undefined) return []
    const { reason, category } = consequence
    return [{ ...causedBy(event), digest, category, reason, since: timeOf(event), until: null }]
  })
  const repeated = await countFailures(client, stored, of('count'))
  await addSuppressions({ orm: drizzle({ client }) }, [...added, ...repeated])
}

const causedBy = ({ notification_type: channel, source, id }: StatusEvent) => ({
  channel,
  origin: source,
  event_id: id,
  note: null,
})

/**
 * The digests of the addresses of events that name a user and no recipient. Leaves out a user who changed since: the
 * event may be about an earlier address. A push message names its recipient, because a user has several devices.
 */
async function findAddresses(
  client: pg.PoolClient,
  events: readonly StatusEvent[],
  recipientKey: string,
): Promise<Map<StatusEvent, string>> {
  const asked = events.filter(
    (event) =>
      event.recipient_digest === undefined &&
      event.user_id !== undefined &&
      event.notification_type === 'email',
  )
  if (asked.length === 0) return new Map()
  const { rows } = await client.query<{ id: string; email: string; updated_at: Date }>(
    'SELECT id, email, updated_at FROM users WHERE id = ANY($1::uuid[])',
    [asked.map((event) => event.user_id)],
  )
  const users = new Map(rows.map((row) => [row.id, row]))
  return new Map(
    asked.flatMap((event) => {
      const user = users.get(event.user_id ?? '')
      if (user === undefined || user.updated_at > timeOf(event)) return []
      return [[event, digestRecipient(recipientKey, 'email', user.email)]]
    }),
  )
}

/**
 * Records the failed deliveries, and suppresses for a while the recipients that have too many. A failure before a
 * delivery of the same batch does not count: storing removed those that were there.
 */
async function countFailures(
  client: pg.PoolClient,
  stored: readonly StatusEvent[],
  failed: readonly StatusEvent[],
): Promise<NewSuppression[]> {
  const recipientOf = (event: StatusEvent) => `${event.notification_type} ${event.recipient_digest}`
  const deliveredAt = new Map<string, Date>()
  for (const event of stored.filter(isDelivery)) {
    const time = timeOf(event)
    if (time > (deliveredAt.get(recipientOf(event)) ?? 0)) deliveredAt.set(recipientOf(event), time)
  }
  const counted = failed.filter(
    (event) =>
      event.recipient_digest !== undefined && timeOf(event) > (deliveredAt.get(recipientOf(event)) ?? 0),
  )
  const latest = new Map(counted.map((event) => [recipientOf(event), event]))
  const repeated = await recordFailures(client, counted)
  return repeated.flatMap(({ channel, digest, last_at }): NewSuppression[] => {
    const event = latest.get(`${channel} ${digest}`)
    if (event === undefined) return []
    const until = new Date(last_at.getTime() + FAILURE_PERIOD_HOURS * 3_600_000)
    return [{ ...causedBy(event), digest, category: null, reason: 'bounce', since: last_at, until }]
  })
}

// An event without a user is about the user of its notification.
const FIND_DEVICES = `
SELECT (e.place - 1)::int AS index, d.user_id, d.device_id, d.token
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS e(user_id, notification_id, place)
JOIN devices d ON d.user_id = coalesce(e.user_id, (
  SELECT s.user_id FROM notification_status s
  WHERE s.notification_id = e.notification_id AND s.notification_type = 'push' AND s.user_id IS NOT NULL
  LIMIT 1))
ORDER BY d.user_id, d.device_id`

/** Marks the devices whose token the events name. A later registration of the same token makes it valid again. */
async function invalidateDevices(
  client: pg.PoolClient,
  events: readonly StatusEvent[],
  recipientKey: string,
): Promise<void> {
  const named = events.filter((event) => event.recipient_digest !== undefined)
  if (named.length === 0) return
  const { rows } = await client.query<{ index: number; user_id: string; device_id: string; token: string }>(
    FIND_DEVICES,
    [named.map((event) => event.user_id), named.map((event) => event.notification_id)],
  )
  for (const { index, user_id, device_id, token } of rows) {
    const event = named[index]
    if (event?.recipient_digest !== digestRecipient(recipientKey, 'push', token)) continue
    await client.query(
      `UPDATE devices SET invalid_since = $4
       WHERE user_id = $1 AND device_id = $2 AND token = $3 AND last_seen_at < $4
         AND (invalid_since IS NULL OR invalid_since < $4)`,
      [user_id, device_id, token, timeOf(event)],
    )
  }
}
