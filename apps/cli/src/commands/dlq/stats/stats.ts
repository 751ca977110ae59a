import { setTimeout as sleep } from 'node:timers/promises'
import { type DeadLetterStats, readDeadLetterStats } from '@tidings/queue/dead-letters/stats'
import { type Command, Option } from 'commander'
import type { CliContext } from '../../../context.ts'
import { CliError, EXIT, usageError } from '../../../exit-codes.ts'
import { parseCount, parseDuration } from '../../../input/parse-option.ts'
import { formatDuration } from '../../../terminal/format.ts'
import { toPrintableJson } from '../../../terminal/table.ts'
import { drawStats, toStatsLines } from './draw-stats.ts'

interface StatsOptions {
  watch?: true
  interval: number
  failIfDepth?: number
  failIfOlderThan?: number
}

export function registerStats(dlq: Command, context: CliContext): void {
  dlq
    .command('stats')
    .description('Count dead letters by reason and type, with their age and inflow.')
    .option('-w, --watch', 'refresh until Ctrl-C')
    .addOption(
      new Option('--interval <duration>', 'how often --watch refreshes')
        .argParser(parseDuration)
        .default(2_000, '2s'),
    )
    .option('--fail-if-depth <n>', 'exit with 7 when there are more than n', parseCount(0))
    .option('--fail-if-older-than <duration>', 'exit with 7 when the oldest is older', parseDuration)
    .action((options: StatsOptions) => runStats(context, options))
    .addHelpText(
      'after',
      `
Examples:
  tidings dlq stats --watch
  tidings dlq stats --fail-if-depth 100 --fail-if-older-than 1d || page-somebody
  tidings dlq stats -o json | jq .by_reason`,
    )
}

async function runStats(context: CliContext, options: StatsOptions): Promise<void> {
  if (options.watch) {
    // A watch never ends by itself, so a script would wait in vain for exit code 7.
    if (options.failIfDepth !== undefined || options.failIfOlderThan !== undefined)
      throw usageError('--watch runs until Ctrl-C: use --fail-if-… without it.')
    return watchStats(context, options)
  }
  const store = await context.deadLetters()
  const stats = await readDeadLetterStats(store)
  await writeStats(context, stats)
  failIfOver(stats, options)
}

async function writeStats(context: CliContext, stats: DeadLetterStats): Promise<void> {
  const { terminal, globals } = context
  if (globals.output === 'json' && terminal.width !== undefined)
    return terminal.write(`${toPrintableJson(stats, 2)}\n`)
  if (globals.output === 'json' || globals.output === 'ndjson')
    return terminal.write(`${toPrintableJson(stats)}\n`)
  if (terminal.width === undefined) return terminal.write(toStatsLines(stats))
  return terminal.write(`${drawStats(stats, { width: terminal.width, colors: terminal.colors.stdout })}\n`)
}

/** A pause is at least this many times as long as the reading before it, so that a long queue does not load the store. */
const REST_FACTOR = 4

/** Depths kept in memory: more than fit on a terminal, so that the picture can say that it omits some. */
const MAX_DEPTHS = 1_000

/** Redraws one picture on a terminal. Writes one record after the other into a pipe. */
async function watchStats(context: CliContext, options: StatsOptions): Promise<void> {
  const { terminal } = context
  const store = await context.deadLetters()
  const signal = context.interruption()
  const isLive = terminal.width !== undefined && context.globals.output === undefined
  const { createLogUpdate } = await import('log-update')
  const screen = createLogUpdate(terminal.stdout)
  const depths: number[] = []
  try {
    while (!signal.aborted) {
      const startedAt = performance.now()
      const stats = await readDeadLetterStats(store)
      depths.push(stats.depth)
      if (depths.length > MAX_DEPTHS) depths.shift()
      if (isLive) {
        const width = terminal.stdout.columns || 80
        screen(drawStats(stats, { width, colors: terminal.colors.stdout, depths }))
      } else await writeStats(context, stats)
      const pauseMs = Math.max(options.interval, (performance.now() - startedAt) * REST_FACTOR)
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined)
    }
  } finally {
    // Also after a store failed: the error message must appear below the picture.
    if (isLive) screen.done()
  }
}

/** @throws CliError `threshold` when a limit is exceeded. */
function failIfOver(stats: DeadLetterStats, { failIfDepth, failIfOlderThan }: StatsOptions): void {
  const problems: string[] = []
  if (failIfDepth !== undefined && stats.depth > failIfDepth)
    problems.push(`${stats.depth} dead letters are more than ${failIfDepth}`)
  const ageMs = stats.oldest === undefined ? 0 : Date.now() - Date.parse(stats.oldest)
  if (failIfOlderThan !== undefined && ageMs > failIfOlderThan)
    problems.push(`the oldest is ${formatDuration(ageMs)} old, more than ${formatDuration(failIfOlderThan)}`)
  if (problems.length > 0) throw new CliError(EXIT.threshold, `Limit passed: ${problems.join('; ')}.`)
}
