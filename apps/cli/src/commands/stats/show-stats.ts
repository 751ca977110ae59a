import {
  type CountGrouping,
  type CountsQuery,
  type DeliveryRates,
  findRangeProblem,
  type Granularity,
  MAX_COUNTS,
  readDeliveryRates,
  readStatusCounts,
  type StatusCount,
} from '@tidings/db/events/status-counts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { drawBar } from '../../terminal/bar.ts'
import { formatCount } from '../../terminal/format.ts'
import { writeItem, writeList } from '../../terminal/output.ts'
import type { Column } from '../../terminal/table.ts'

export interface StatsOptions {
  since?: Date
  until?: Date
  by: CountGrouping[]
  granularity?: Granularity
  failIfBounceRate?: number
  failIfComplaintRate?: number
}

const DAY_MS = 86_400_000
const BAR_COLUMNS = 30

/** @throws CliError `threshold` when a rate is over its limit. */
export async function showStats(context: CliContext, options: StatsOptions): Promise<void> {
  const { until: to = new Date(), granularity, by: groupBy } = options
  const from = options.since ?? new Date(to.getTime() - DAY_MS)
  const query = { from, to, granularity, groupBy }
  const problem = findRangeProblem(query)
  if (problem !== undefined) throw usageError(problem)
  const db = await context.database()
  const [counts, rates] = await Promise.all([readStatusCounts(db, query), readDeliveryRates(db, query)])
  if (counts === undefined)
    throw usageError(
      `There are more than ${formatCount(MAX_COUNTS)} counts. Ask for less time or fewer groups.`,
    )
  const types = Object.entries(rates).filter(([, { sent, complained }]) => sent + complained > 0)
  if (context.globals.output === 'json') {
    const meta = { from, to, granularity: granularity ?? null, group_by: groupBy, rates }
    await writeItem(context, { data: counts, meta }, '')
  } else {
    await writeList(context, counts, { columns: columnsOf(context, query, counts), json: (count) => count })
    for (const [type, found] of types) context.terminal.say(describeRates(type, found))
    if (counts.length === 0)
      context.terminal.say(`No event was received from ${from.toISOString()} to ${to.toISOString()}.`)
  }
  failIfOver(types, options)
}

function columnsOf(
  { terminal }: CliContext,
  { granularity, groupBy }: CountsQuery,
  counts: readonly StatusCount[],
): Column<StatusCount>[] {
  const most = Math.max(1, ...counts.map(({ count }) => count))
  return [
    ...(granularity
      ? [{ title: 'START', cell: ({ start }: StatusCount) => start ?? '', whole: true as const }]
      : []),
    ...groupBy.map((name) => ({
      title: name.toUpperCase().replace('_', ' '),
      cell: (count: StatusCount) => count[name] ?? '-',
    })),
    {
      title: 'COUNT',
      cell: ({ count }) => formatCount(count),
      raw: ({ count }) => String(count),
      align: 'right',
    },
    ...(terminal.width === undefined
      ? []
      : [
          {
            title: '',
            cell: ({ count }: StatusCount) => drawBar(count / most, BAR_COLUMNS),
            style: 'cyan' as const,
            spare: 1,
          },
        ]),
  ]
}

const describeRates = (type: string, { sent, bounced, complained, ...rates }: DeliveryRates) =>
  `${type}: ${formatCount(sent)} sent; ${formatCount(bounced)} bounced, ${formatShare(rates.bounce_rate)}; ` +
  `${formatCount(complained)} complained, ${formatShare(rates.complaint_rate)}`

const formatShare = (share: number | null) =>
  share === null ? '-' : `${Number((share * 100).toPrecision(3))} %`

function failIfOver(types: readonly [string, DeliveryRates][], options: StatsOptions): void {
  // Without a limit nothing fails. More than 1 is possible: a complaint may come days after its message.
  const { failIfBounceRate = Number.POSITIVE_INFINITY, failIfComplaintRate = Number.POSITIVE_INFINITY } =
    options
  const problems = types.flatMap(([type, { bounce_rate, complaint_rate }]) => [
    ...describeExcess(`${type} bounces`, bounce_rate, failIfBounceRate),
    ...describeExcess(`${type} complaints`, complaint_rate, failIfComplaintRate),
  ])
  if (problems.length > 0) throw new CliError(EXIT.threshold, `Limit passed: ${problems.join('; ')}.`)
}

const describeExcess = (what: string, share: number | null, limit: number) =>
  share !== null && share > limit
    ? [`${what} are ${formatShare(share)}, more than ${formatShare(limit)}`]
    : []
