import { COUNT_GROUPINGS, type CountGrouping, GRANULARITIES } from '@tidings/db/events/status-counts'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { CliContext } from '../../context.ts'
import { parseRatio, parseTimeOrDay } from '../../input/parse-option.ts'
import type { StatsOptions } from './show-stats.ts'

const DEFAULT_BY: CountGrouping[] = ['type', 'status']

export function registerStats(program: Command, context: CliContext): void {
  const time = 'RFC 3339, a time ago (2h, 7d), today or yesterday in UTC'
  program
    .command('stats')
    .description('Count the stored events, and show the rates of bounces and complaints.')
    .option(
      '--since <time>',
      `received in this hour or later: ${time}; default: 24 hours before --until`,
      parseTimeOrDay,
    )
    .option('--until <time>', 'received before; default: now', parseTimeOrDay)
    .addOption(
      new Option(
        '--by <names>',
        `with commas between them: ${COUNT_GROUPINGS.join(', ')}; none for the total`,
      )
        .argParser(parseGroupings)
        .default(DEFAULT_BY, DEFAULT_BY.join(',')),
    )
    .addOption(
      new Option('--granularity <unit>', 'one count for each; without it, one in all').choices(GRANULARITIES),
    )
    .option('--fail-if-bounce-rate <share>', 'exit with 7 when more bounced, such as 5%', parseRatio)
    .option('--fail-if-complaint-rate <share>', 'exit with 7 when more complained, such as 0.1%', parseRatio)
    .action(async (options: StatsOptions) => {
      const { showStats } = await import('./show-stats.ts')
      await showStats(context, options)
    })
    .addHelpText(
      'after',
      `
Examples:
  tidings stats --since yesterday --until today --by provider,status
  tidings stats --since 7d --granularity day --by type,status
  tidings stats --since 1d --fail-if-bounce-rate 5% --fail-if-complaint-rate 0.1% || page-somebody
  tidings stats -o json | jq .meta.rates

Counts are kept by the hour in UTC, so the first hour is included as a whole.
The rates are shares of those sent. -o json is as GET /api/v1/stats/ answers.`,
    )
}

const GROUPINGS: ReadonlySet<string> = new Set(COUNT_GROUPINGS)
const isGroupings = (names: string[]): names is CountGrouping[] => names.every((name) => GROUPINGS.has(name))

function parseGroupings(text: string): CountGrouping[] {
  const names = text === 'none' ? [] : text.split(',')
  if (isGroupings(names) && new Set(names).size === names.length) return names
  throw new InvalidArgumentError(
    `Use names with commas between them, each once: ${COUNT_GROUPINGS.join(', ')}.`,
  )
}
