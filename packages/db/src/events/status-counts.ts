import type { NotificationType } from '@tidings/shared/status-event'
import type { Database } from '../database.ts'

/** What counts can be grouped by, and the column of each. */
const GROUP_COLUMNS = {
  type: 'notification_type',
  provider: 'provider',
  source: 'source',
  category: 'category',
  status: 'status',
  error_class: 'error_class',
} as const
export type CountGrouping = keyof typeof GROUP_COLUMNS
export const COUNT_GROUPINGS = Object.keys(GROUP_COLUMNS) as [CountGrouping, ...CountGrouping[]]

export const GRANULARITIES = ['hour', 'day'] as const
export type Granularity = (typeof GRANULARITIES)[number]

export interface CountsQuery {
  /** Counts are kept by the hour in UTC, so the hour of `from` is included as a whole, and that of `to` too. */
  from: Date
  /** Exclusive: no hour that begins at `to` or later. */
  to: Date
  /** Without it, there is one count for the whole time. */
  granularity?: Granularity | undefined
  groupBy: readonly CountGrouping[]
}

/** The number of events of one group. A group without a value, such as events without a provider, is null. */
export type StatusCount = { start?: string; count: number } & { [Name in CountGrouping]?: string | null }

/** Shares of the notifications that were sent. Null when none was. */
export interface DeliveryRates {
  /** The events `sent`, or the results `delivered` and `bounced` where these are more: not every provider reports both. */
  sent: number
  bounced: number
  complained: number
  bounce_rate: number | null
  complaint_rate: number | null
}

/** The longest time that one query covers, in days. */
export const MAX_COUNTED_DAYS: Readonly<Record<Granularity, number>> = { hour: 31, day: 366 }
/** Most counts in one answer. */
export const MAX_COUNTS = 10_000

const DAY_MS = 86_400_000

/** Says what is wrong with the times of a query; undefined when nothing is. */
export function findRangeProblem({ from, to, granularity = 'day' }: CountsQuery): string | undefined {
  if (from >= to) return 'The end of the time must be after its beginning.'
  const days = MAX_COUNTED_DAYS[granularity]
  if (to.getTime() - from.getTime() > days * DAY_MS)
    return `Ask for at most ${days} days at once${granularity === 'hour' ? ' by the hour' : ''}.`
}

/**
 * Counts the events that became rows, oldest group first.
 *
 * @returns undefined when there are more than MAX_COUNTS groups.
 */
export async function readStatusCounts(db: Database, query: CountsQuery): Promise<StatusCount[] | undefined> {
  const { text, values } = countsStatement(query)
  const { rows } = await db.pool.query<StatusCount>(text, values)
  return rows.length > MAX_COUNTS ? undefined : rows
}

/** The statement of readStatusCounts. */
export function countsStatement({ from, to, granularity, groupBy }: CountsQuery): {
  text: string
  values: unknown[]
} {
  const start =
    granularity &&
    `to_char(date_trunc('${granularity}', hour, 'UTC') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start`
  const columns = groupBy.map((name) => `nullif(${GROUP_COLUMNS[name]}::text, '') AS ${name}`)
  const groups = [...(start ? [start] : []), ...columns]
  const places = groups.map((_, index) => index + 1).join(', ')
  return {
    text: `SELECT ${[...groups, 'coalesce(sum(count), 0)::float8 AS count'].join(', ')}
      FROM status_counts WHERE hour >= date_trunc('hour', $1::timestamptz, 'UTC') AND hour < $2
      ${groups.length > 0 ? `GROUP BY ${places} ORDER BY ${places}` : ''} LIMIT ${MAX_COUNTS + 1}`,
    values: [from, to],
  }
}

/** The bounce and complaint rates of each type. */
export async function readDeliveryRates(
  db: Database,
  { from, to }: Pick<CountsQuery, 'from' | 'to'>,
): Promise<Record<NotificationType, DeliveryRates>> {
  const counts = (await readStatusCounts(db, { from, to, groupBy: ['type', 'status'] })) ?? []
  const ratesOf = (type: NotificationType) => {
    const count = (status: string) =>
      counts.find((found) => found.type === type && found.status === status)?.count ?? 0
    return toDeliveryRates(count)
  }
  return { email: ratesOf('email'), push: ratesOf('push') }
}

function toDeliveryRates(count: (status: string) => number): DeliveryRates {
  const [bounced, complained] = [count('bounced'), count('complained')]
  const sent = Math.max(count('sent'), count('delivered') + bounced)
  const share = (part: number) => (sent === 0 ? null : part / sent)
  return { sent, bounced, complained, bounce_rate: share(bounced), complaint_rate: share(complained) }
}

/** The number of events that became rows, ever. */
export async function countStoredEvents(db: Database): Promise<number> {
  const { rows } = await db.pool.query<{ count: number }>(
    'SELECT coalesce(sum(count), 0)::float8 AS count FROM status_counts',
  )
  return rows[0]?.count ?? 0
}
