import { findStoredContent } from '@tidings/db/events/status-events'
import {
  type RedriveResult,
  type RedriveTotals,
  redriveDeadLetters,
} from '@tidings/queue/dead-letters/redrive'
import { createOutcomeTracker, type OutcomeTracker } from '@tidings/queue/dead-letters/redrive-outcomes'
import type { Selection } from '@tidings/queue/dead-letters/selection'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import { STATUS_QUEUE } from '@tidings/queue/policy'
import { MAX_REDRIVES } from '@tidings/shared/dead-letter'
import { type Command, Option } from 'commander'
import { withAudit } from '../../audit.ts'
import { askToGoOn } from '../../confirm.ts'
import type { CliContext } from '../../context.ts'
import { CliError, EXIT } from '../../exit-codes.ts'
import { parseCount, parseDuration, parseRate, parseRatio } from '../../input/parse-option.ts'
import { entries, formatCount } from '../../terminal/format.ts'
import { writeResult } from '../../terminal/output.ts'
import { startProgress } from '../../terminal/progress.ts'
import { runDryRun } from './redrive-dry-run.ts'
import {
  addSelectionOptions,
  describeSelection,
  noneExists,
  previewSelection,
  type SelectionOptions,
  sayNoMatch,
  sayPreview,
  toSelection,
} from './selection.ts'

export interface RedriveOptions extends SelectionOptions {
  dryRun?: true
  rate?: number
  max?: number
  canary?: number
  abortOnFailureRatio: number
  wait?: true
  timeout: number
  force?: true
  yes?: true
}

export function registerRedrive(dlq: Command, context: CliContext): void {
  const redrive = dlq
    .command('redrive')
    .description('Send dead letters back to the queue with fresh attempts, oldest first.')
    .option('--dry-run', 'only show what would be sent back')
    .option('--rate <n/s>', 'entries a second, for example 50/s', parseRate)
    .option('--max <n>', 'end after so many entries', parseCount(1))
    .option('--canary <n>', 'send n entries first and see whether they get stored', parseCount(1))
    .option(
      '--abort-on-failure-ratio <ratio>',
      'end after the canary when more than this share died again',
      parseRatio,
      0.2,
    )
    .option('--wait', 'wait until every entry is stored or dead again, and say how many')
    .addOption(
      new Option('--timeout <duration>', 'give up waiting when nothing happens for so long')
        .argParser(parseDuration)
        .default(120_000, '2m'),
    )
    .option('--force', `also entries redriven ${MAX_REDRIVES} times already, and unreadable ones`)
    .option('-y, --yes', 'do not ask')
    .action((ids: string[], options: RedriveOptions) => runRedrive(context, ids, options))
  addSelectionOptions(redrive).addHelpText(
    'after',
    `
Examples:
  tidings dlq redrive dead-0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee
  tidings dlq redrive --group 3f2a91c07be4 --canary 20 --wait
  tidings dlq redrive --reason unknown_user --since 2h --rate 50/s
  tidings dlq redrive --all --dry-run
  tidings dlq list --error timeout -o id | tidings dlq redrive - --yes

Ctrl-C ends after the batch in hand; the same command again does the rest.
At every moment each entry is either a dead letter or on the queue.`,
  )
}

async function runRedrive(context: CliContext, ids: string[], options: RedriveOptions): Promise<void> {
  const selection = await toSelection(context, ids, options)
  if (options.dryRun) return runDryRun(context, selection, options)
  context.assertWritable()
  const { terminal } = context
  const store = await context.deadLetters()
  const isOne = selection.kind === 'ids' && new Set(selection.ids).size === 1
  const ask = !isOne && !options.yes
  if (ask && !terminal.isInteractive) await askToGoOn(context, '')
  const preview = ask || terminal.stderr.isTTY ? await previewSelection(context, store, selection) : undefined
  // Nothing is selected: there is nothing to ask, and the same comes of it as where nobody counts.
  const isNothing = preview?.count === 0
  if (preview && !isOne && !isNothing)
    sayPreview(context, preview, 'Redrive', `back to ${STATUS_QUEUE}`, options.max)
  if (ask && !isNothing) await askToGoOn(context, `Send them back to ${STATUS_QUEUE}?`)
  await withAudit(
    context,
    {
      action: 'dlq.redrive',
      selector: { selection: describeSelection(selection), force: options.force === true },
    },
    async (audit) => {
      const expected = preview?.count ?? 0
      const bar = startProgress(terminal, 'Redriving', Math.min(expected, options.max ?? expected))
      const outcome = await moveEntries(context, store, selection, options, (totals) => {
        audit.matched = totals.matched
        audit.changed = totals.redriven
        bar.update(countSettled(totals, options))
      }).finally(bar.stop)
      audit.result = outcome.result.end
      await report(context, outcome)
      failUnlessComplete(outcome, selection)
      if (outcome.result.matched === 0) await sayNoMatch(context, store, options)
    },
  )
}

/** How far a run is. Entries that are left alone bring the end nearer, but not the one of --max. */
function countSettled(totals: RedriveTotals, { max }: RedriveOptions) {
  return max === undefined ? totals.redriven + totals.gone + countLeft(totals) : totals.redriven
}

const countLeft = ({ exhausted, unreadable, oversized }: RedriveTotals) => exhausted + unreadable + oversized

interface RedriveOutcome {
  result: RedriveResult
  tracker: OutcomeTracker | undefined
  /** Share of the canary's entries that died again, where it was more than allowed. */
  canaryFailure: number | undefined
}

/** When so many entries have an unknown fate, moving waits for it: their ids are kept in memory. */
const MAX_PENDING = 20_000

/** The canary first, where one is asked for, then the rest. */
async function moveEntries(
  context: CliContext,
  store: DeadLetterStore,
  selection: Selection,
  options: RedriveOptions,
  onTotals: (totals: RedriveTotals) => void,
): Promise<RedriveOutcome> {
  const { terminal } = context
  const { canary, rate, max, wait } = options
  const signal = context.interruption()
  const db = await context.database()
  const tracker =
    wait || canary !== undefined
      ? createOutcomeTracker({
          store,
          findStored: (eventIds) => findStoredContent(db, eventIds),
          signal,
          patienceMs: options.timeout,
        })
      : undefined
  let isCanaryOpen = canary !== undefined
  let canaryFailure: number | undefined
  const judgeCanary = async () => {
    isCanaryOpen = false
    const { stored, dead, pending } = (await tracker?.settle(0)) ?? { stored: 0, dead: 0, pending: 0 }
    // An entry nobody knows about has not been stored: that is no success.
    const ratio = (dead + pending) / Math.max(1, stored + dead + pending)
    if (!signal.aborted && ratio > options.abortOnFailureRatio) canaryFailure = ratio
  }

  const result = await redriveDeadLetters(store, {
    selection,
    force: options.force === true,
    max,
    rate,
    checkpoint: canary,
    signal,
    async onBatch(moved, totals) {
      onTotals(totals)
      if (context.globals.output === 'id') await terminal.write(moved.map(({ id }) => `${id}\n`).join(''))
      if (isCanaryOpen || wait) tracker?.follow(moved)
      if (isCanaryOpen && canary !== undefined && totals.redriven >= canary) await judgeCanary()
      if (tracker && tracker.outcomes.pending > MAX_PENDING) await tracker.settle(MAX_PENDING / 2)
      return canaryFailure === undefined ? undefined : 'stop'
    },
  })
  onTotals(result)
  if (isCanaryOpen) await judgeCanary()
  else if (wait) await tracker?.settle(0)
  return { result, tracker, canaryFailure }
}

/** Totals to stderr, and as one object to stdout where that is asked for. */
async function report(context: CliContext, { result, tracker }: RedriveOutcome): Promise<void> {
  const { outcomes } = tracker ?? {}
  const said = [`Redriven ${entries(result.redriven)} to ${STATUS_QUEUE}`]
  if (outcomes) {
    const open = outcomes.pending > 0 ? `, ${formatCount(outcomes.pending)} still open` : ''
    said.push(
      `of the followed ones ${formatCount(outcomes.stored)} stored, ${formatCount(outcomes.dead)} dead again${open}`,
    )
  }
  if (result.exhausted > 0)
    said.push(
      `left ${formatCount(result.exhausted)} redriven ${MAX_REDRIVES} times already (--force takes them)`,
    )
  if (result.unreadable > 0)
    said.push(`left ${formatCount(result.unreadable)} unreadable (--force takes them)`)
  if (result.oversized > 0)
    said.push(`left ${formatCount(result.oversized)} too long for the queue (dlq export writes them)`)
  if (result.gone > 0) said.push(`${formatCount(result.gone)} not there any more`)
  context.terminal.say(`${said.join('; ')}.`)
  await writeResult(context, { ...result, ...outcomes })
}

/** @throws CliError that tells what is left to do. */
function failUnlessComplete({ result, tracker, canaryFailure }: RedriveOutcome, selection: Selection): void {
  if (canaryFailure !== undefined) {
    const share = `${Math.round(canaryFailure * 100)} %`
    throw new CliError(
      EXIT.partial,
      `${share} of the canary was not stored: stopped. See tidings dlq groups.`,
    )
  }
  if (result.end === 'interrupted')
    throw new CliError(EXIT.partial, 'Interrupted. The same command again does the rest.')
  if (selection.kind === 'ids' && result.matched === 0 && result.gone > 0) throw noneExists()
  if (tracker && (tracker.outcomes.dead > 0 || tracker.outcomes.pending > 0))
    throw new CliError(EXIT.partial, 'Not every entry was stored.')
  if (countLeft(result) > 0 || (selection.kind === 'ids' && result.gone > 0))
    throw new CliError(EXIT.partial, 'Not every entry was redriven.')
}
