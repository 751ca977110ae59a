import { setTimeout as sleep } from 'node:timers/promises'
import { type DeadLetterStats, readDeadLetterStats } from '@tidings/queue/dead-letters/stats'
import { type Command, Option } from 'commander'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { parseCount, parseDuration } from '../../input/parse-option.ts'
import { formatDuration } from '../../terminal/format.ts'
import { drawStats, toStatsLines } from './stats-view.ts'

interface StatsOptions {
  watch?: true
  interval: number
  failIfDepth?: number
  failIfOlderThan?: number
}

export function registerStats(dlq: Command, context: CliContext): void {
  dlq
    .command('stats')
    .description('How many dead letters there are, why, how old, and how fast they come.')
    .option('-w, --watch', 'keep showing it until Ctrl-C')
    .addOption(
      new Option('--interval <duration>', 'how often --watch looks')
        .argParser(parseDuration)
        .default(2_000, '2s'),
    )
    .option('--fail-if-depth <n>', 'exit with 7 when there are more than n', parseCount(0))
    .option('--fail-if-older-than <duration>', 'exit with 7 when one has been dead longer', parseDuration)
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
    // A watch has no end at which it could fail; left unsaid, a script would wait for an alarm that never comes.
    if (options.failIfDepth !== undefined || options.failIfOlderThan !== undefined)
      throw usageError('--watch goes on until Ctrl-C: use --fail-if-… without it, as often as you like.')
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
    return terminal.write(`${JSON.stringify(stats, null, 2)}\n`)
  if (globals.output === 'json' || globals.output === 'ndjson')
    return terminal.write(`${JSON.stringify(stats)}\n`)
  if (terminal.width === undefined) return terminal.write(toStatsLines(stats))
  return terminal.write(`${drawStats(stats, { width: terminal.width, colors: terminal.colors.stdout })}\n`)
}

/** Reading a long queue takes a while: the pause is at least four times as long, to leave the store in peace. */
const REST_FACTOR = 4

/** More than fit side by side on a terminal: so the picture knows when it leaves some out. */
const MAX_DEPTHS = 1_000

/** On a terminal one picture that changes; in a pipe one record after the other. */
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
    // A store that goes away too: what is said next must not be drawn over.
    if (isLive) screen.done()
  }
}

/** @throws CliError with exit code 7 when a limit is passed. */
function failIfOver(stats: DeadLetterStats, { failIfDepth, failIfOlderThan }: StatsOptions): void {
  const problems: string[] = []
  if (failIfDepth !== undefined && stats.depth > failIfDepth)
    problems.push(`${stats.depth} dead letters are more than ${failIfDepth}`)
  const ageMs = stats.oldest === undefined ? 0 : Date.now() - Date.parse(stats.oldest)
  if (failIfOlderThan !== undefined && ageMs > failIfOlderThan)
    problems.push(
      `one has been dead for ${formatDuration(ageMs)}, longer than ${formatDuration(failIfOlderThan)}`,
    )
  if (problems.length > 0) throw new CliError(EXIT.threshold, `Limit passed: ${problems.join('; ')}.`)
}
