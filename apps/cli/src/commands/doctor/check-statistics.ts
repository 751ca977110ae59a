import { compareCounts } from '@tidings/db/events/compare-counts'
import type { CliContext } from '../../context.ts'
import { formatAge, formatCount } from '../../terminal/format.ts'
import { type CheckResult, ok, warning } from './check-result.ts'

export const STATISTICS = 'Statistics'

/** Compares what the statistics counted in the last days with the rows. */
export async function checkStatistics(context: CliContext): Promise<CheckResult[]> {
  const { since, counted, differing } = await compareCounts(await context.database())
  if (since === undefined) return [ok(STATISTICS, 'not compared: the rows of this hour are too many to read')]
  const [first] = differing
  if (first === undefined)
    return [ok(STATISTICS, `${formatCount(counted)} counted and stored in ${formatAge(since.toISOString())}`)]
  const hours = differing.length === 1 ? '1 hour differs' : `${formatCount(differing.length)} hours differ`
  const found = `${hours}, the first at ${first.hour.toISOString()}: ${formatCount(first.counted)} counted, ${formatCount(first.rows)} rows`
  return [
    warning(
      STATISTICS,
      found,
      first.counted > first.rows
        ? 'Rows were deleted, by a retention period or by hand. The counts stay.'
        : 'Rows were added without being counted: by hand, by a restore, or by a worker of an older version.',
    ),
  ]
}
