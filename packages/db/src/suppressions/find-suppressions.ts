import type { NotificationType } from '@tidings/shared/status-event'
import { EVERY_CATEGORY, SUPPRESSION_REASONS, type SuppressionReason } from '@tidings/shared/suppression'
import type { Database } from '../database.ts'

export interface Recipient {
  channel: NotificationType
  /** 64 hex digits. */
  digest: string
}

/** What a question about a recipient needs to know of a suppression. */
export interface ActiveSuppression {
  reason: SuppressionReason
  since: Date
  until: Date | null
}

// The unique index answers it: one descent for each recipient.
const FIND = `
SELECT (r.place - 1)::int AS index, s.reason, s.since, s.until
FROM unnest($1::notification_type[], $2::bytea[]) WITH ORDINALITY AS r(channel, digest, place)
JOIN suppressions s ON s.channel = r.channel AND s.recipient_digest = r.digest AND s.category = ANY($3::text[])
WHERE s.until IS NULL OR s.until > now()`

/**
 * Finds what suppresses each recipient now, the most serious first. It reads PostgreSQL each time, so a suppression
 * counts from the moment that it is stored.
 *
 * @param category adds the suppressions of this category to those of every message.
 * @returns a list for each recipient, in order.
 */
export async function findSuppressions(
  db: Database,
  recipients: readonly Recipient[],
  category?: string,
): Promise<ActiveSuppression[][]> {
  const found: ActiveSuppression[][] = recipients.map(() => [])
  if (recipients.length === 0) return found
  const { rows } = await db.pool.query<ActiveSuppression & { index: number }>({
    name: 'find-suppressions',
    text: FIND,
    values: [
      recipients.map(({ channel }) => channel),
      recipients.map(({ digest }) => `\\x${digest}`),
      category === undefined ? [EVERY_CATEGORY] : [EVERY_CATEGORY, category],
    ],
  })
  for (const { index, ...suppression } of rows) found[index]?.push(suppression)
  const rank = ({ reason }: ActiveSuppression) => SUPPRESSION_REASONS.indexOf(reason)
  for (const list of found) list.sort((one, other) => rank(one) - rank(other))
  return found
}
