import {
  applyRetention,
  planRetention,
  type RetentionResult,
  type RetentionRule,
  type RetentionStep,
} from '@tidings/db/events/retention'
import type { NotificationType } from '@tidings/shared/status-event'
import { withAudit } from '../../audit.ts'
import { askToGoOn, assertCanAsk } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT, usageError } from '../../exit-codes.ts'
import { formatCount } from '../../terminal/format.ts'
import { writeList } from '../../terminal/output.ts'
import { startProgress } from '../../terminal/progress.ts'

export interface RetentionOptions {
  /** In milliseconds. */
  olderThan: number
  type?: NotificationType
  source?: string
  dryRun?: true
  yes?: true
}

/** tidings doctor compares the statistics with the rows of the last two days. */
const MIN_DAYS = 3
const DAY_MS = 86_400_000

/** One line of the output. A dry run has no time and no outcome. */
type ShownStep = RetentionStep & Partial<Pick<RetentionResult, 'ms' | 'outcome'>>

/** Removes old events, after a question. Writes a line for each partition. */
export async function runRetention(context: CliContext, options: RetentionOptions): Promise<void> {
  if (options.olderThan < MIN_DAYS * DAY_MS) throw usageError(`--older-than must be ${MIN_DAYS}d or more.`)
  const { olderThan, type, source, dryRun } = options
  const rule: RetentionRule = { before: new Date(Date.now() - olderThan), type, source }
  if (!dryRun) context.assertWritable()
  if (!dryRun && !options.yes) assertCanAsk(context)
  const db = await context.database()
  const steps = await planRetention(db, rule)
  if (steps.length === 0) {
    context.terminal.say(`No such event was received before ${rule.before.toISOString()}.`)
    return writeSteps(context, [])
  }
  const total = sumOf(steps)
  context.terminal.say(describe(steps, rule))
  if (dryRun) return writeSteps(context, steps)
  if (!options.yes) await askToGoOn(context, 'This cannot be undone. Remove them?')

  const selector = { before: rule.before.toISOString(), type, source }
  let results: RetentionResult[] = []
  await withAudit(context, { action: 'retention.apply', selector }, async (audit) => {
    audit.matched = total
    const bar = startProgress(context.terminal, 'Removing', total)
    try {
      results = await applyRetention(db, rule, steps, {
        signal: context.interruption(),
        onProgress(rows) {
          audit.changed = rows
          bar.update(rows)
        },
      })
    } finally {
      bar.stop()
    }
    audit.result = isComplete(steps, results) ? 'done' : 'in part'
  })
  await writeSteps(context, results)
  report(context, steps, results)
}

const sumOf = (steps: readonly RetentionStep[]) => steps.reduce((sum, { rows }) => sum + rows, 0)
const isComplete = (steps: readonly RetentionStep[], results: readonly RetentionResult[]) =>
  results.length === steps.length && results.every(({ outcome }) => outcome === 'done')

function describe(steps: readonly RetentionStep[], { before, type, source }: RetentionRule): string {
  const dropped = steps.filter(({ action }) => action === 'drop')
  const deleted = steps.filter(({ action }) => action === 'delete')
  const what = [
    ...(dropped.length > 0
      ? [`drop ${formatCount(dropped.length)} partitions with ${formatCount(sumOf(dropped))} events`]
      : []),
    ...(deleted.length > 0 ? [`delete ${formatCount(sumOf(deleted))} events one by one`] : []),
  ].join(', ')
  const which = [type && `of type ${type}`, source && 'of the given source'].filter(Boolean).join(' and ')
  return `Received before ${before.toISOString()}${which && `, ${which}`}: ${what}.`
}

const writeSteps = (context: CliContext, steps: readonly ShownStep[]) =>
  writeList<ShownStep>(context, steps, {
    columns: [
      { title: 'PARTITION', cell: ({ partition }) => partition, whole: true },
      { title: 'ACTION', cell: ({ action }) => action },
      {
        title: 'EVENTS',
        cell: ({ rows }) => formatCount(rows),
        raw: ({ rows }) => String(rows),
        align: 'right',
      },
      { title: 'MS', cell: ({ ms }) => (ms === undefined ? '-' : formatCount(ms)), align: 'right' },
      { title: 'OUTCOME', cell: ({ outcome }) => outcome ?? 'dry run' },
    ],
    json: ({ partition, action, rows, bytes, ms = null, outcome = null }) => ({
      partition,
      action,
      events: rows,
      bytes,
      ms,
      outcome,
    }),
    id: ({ partition }) => partition,
  })

/** @throws CliError `partial` when a part is left. */
function report(
  context: CliContext,
  steps: readonly RetentionStep[],
  results: readonly RetentionResult[],
): void {
  context.terminal.say(`Removed ${formatCount(sumOf(results))} events.`)
  if (isComplete(steps, results)) return
  const busy = results.filter(({ outcome }) => outcome === 'busy').map(({ partition }) => partition)
  throw new CliError(
    EXIT.partial,
    busy.length > 0
      ? `Not dropped: ${busy.join(', ')}. A transaction held the table; pg_stat_activity shows which. Run it again.`
      : 'Interrupted. The same command again does the rest.',
  )
}
