import type { RedriveTotals } from '@tidings/queue/dead-letters/redrive'
import { STATUS_QUEUE } from '@tidings/queue/policy'
import { MAX_REDRIVES } from '@tidings/shared/dead-letter'
import { type Command, Option } from 'commander'
import { withAudit } from '../../../audit.ts'
import { askToGoOn, assertCanAsk } from '../../../confirm.ts'
import type { CliContext } from '../../../context.ts'
import { parseCount, parseDuration, parseRate, parseRatio } from '../../../input/parse-option.ts'
import { startProgress } from '../../../terminal/progress.ts'
import {
  addSelectionOptions,
  describeSelection,
  previewSelection,
  type SelectionOptions,
  sayNoMatch,
  sayPreview,
  toSelection,
} from '../selection.ts'
import { runDryRun } from './dry-run.ts'
import { type MoveOptions, moveEntries } from './move-entries.ts'
import { countLeft, failUnlessComplete, reportRedrive } from './report.ts'

interface RedriveOptions extends SelectionOptions, MoveOptions {
  dryRun?: true
  yes?: true
}

export function registerRedrive(dlq: Command, context: CliContext): void {
  const redrive = dlq
    .command('redrive')
    .description('Send dead letters back to the queue with fresh attempts, oldest first.')
    .option('--dry-run', 'only show what would be sent back')
    .option('--rate <n/s>', 'entries a second, for example 50/s', parseRate)
    .option('--max <n>', 'stop after this many entries', parseCount(1))
    .option('--canary <n>', 'send n entries first and see whether they get stored', parseCount(1))
    .option(
      '--abort-on-failure-ratio <ratio>',
      'stop after the canary when more than this share was dead-lettered again',
      parseRatio,
      0.2,
    )
    .option('--wait', 'wait until every entry is stored or dead-lettered again, and print how many')
    .addOption(
      new Option('--timeout <duration>', 'stop waiting when nothing has changed for this long')
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
  tidings dlq redrive 0199aaaa-bbbb-8ccc-9ddd-eeeeeeeeeeee
  tidings dlq redrive --group 3f2a91c07be4 --canary 20 --wait
  tidings dlq redrive --reason unknown_user --since 2h --rate 50/s
  tidings dlq redrive --all --dry-run
  tidings dlq list --error timeout -o id | tidings dlq redrive - --yes

Ctrl-C stops after the current batch; the same command again does the rest.
At every moment each entry is either a dead letter or on the queue.`,
  )
}

async function runRedrive(context: CliContext, ids: string[], options: RedriveOptions): Promise<void> {
  const selection = await toSelection(context, ids, options)
  if (options.dryRun) return runDryRun(context, selection, options)
  context.assertWritable()
  const { terminal } = context
  const store = await context.deadLetters()
  const isOne = selection.kind === 'ids' && selection.ids.length === 1
  const asks = !isOne && !options.yes
  if (asks) assertCanAsk(context)
  const preview =
    asks || terminal.stderr.isTTY ? await previewSelection(context, store, selection) : undefined
  // Without a match there is no question. The command then ends as it does without a preview.
  const isEmpty = preview?.count === 0
  if (preview && !isOne && !isEmpty)
    sayPreview(context, preview, 'Redrive', `back to ${STATUS_QUEUE}`, options.max)
  if (asks && !isEmpty) await askToGoOn(context, `Send them back to ${STATUS_QUEUE}?`)
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
        bar.update(countDone(totals, options))
      }).finally(bar.stop)
      audit.result = outcome.result.end
      await reportRedrive(context, outcome)
      failUnlessComplete(outcome, selection)
      if (outcome.result.matched === 0) await sayNoMatch(context, store, options)
    },
  )
}

/** The progress of a run. Entries that are left alone count, unless --max counts redriven ones only. */
function countDone(totals: RedriveTotals, { max }: RedriveOptions): number {
  return max === undefined ? totals.redriven + totals.gone + countLeft(totals) : totals.redriven
}
