import type { RedriveTotals } from '@tidings/queue/dead-letters/redrive'
import type { Selection } from '@tidings/queue/dead-letters/selection'
import { STATUS_QUEUE } from '@tidings/queue/policy'
import { MAX_REDRIVES } from '@tidings/shared/dead-letter'
import type { CliContext } from '../../../context.ts'
import { CliError, EXIT } from '../../../exit-codes.ts'
import { entries, formatCount } from '../../../terminal/format.ts'
import { writeResult } from '../../../terminal/output.ts'
import { noneExists } from '../selection.ts'
import type { RedriveOutcome } from './move-entries.ts'

/** Entries that were selected and could not be redriven. */
export const countLeft = ({ exhausted, unreadable, oversized }: RedriveTotals) =>
  exhausted + unreadable + oversized

/** Writes the totals to stderr, and as one object to stdout when JSON is asked for. */
export async function reportRedrive(context: CliContext, { result, tracker }: RedriveOutcome): Promise<void> {
  const { outcomes } = tracker ?? {}
  const parts = [`Redriven ${entries(result.redriven)} to ${STATUS_QUEUE}`]
  if (outcomes) {
    const open = outcomes.pending > 0 ? `, ${formatCount(outcomes.pending)} still open` : ''
    parts.push(
      `of the followed ones ${formatCount(outcomes.stored)} stored, ${formatCount(outcomes.dead)} dead-lettered again${open}`,
    )
  }
  if (result.exhausted > 0)
    parts.push(
      `left ${formatCount(result.exhausted)} redriven ${MAX_REDRIVES} times already (--force takes them)`,
    )
  if (result.unreadable > 0)
    parts.push(`left ${formatCount(result.unreadable)} unreadable (--force takes them)`)
  if (result.oversized > 0)
    parts.push(`left ${formatCount(result.oversized)} too long for the queue (dlq export writes them)`)
  if (result.gone > 0) parts.push(`${formatCount(result.gone)} no longer there`)
  context.terminal.say(`${parts.join('; ')}.`)
  await writeResult(context, { ...result, ...outcomes })
}

/** @throws CliError when entries are left, with the reason. */
export function failUnlessComplete(
  { result, tracker, canaryFailure }: RedriveOutcome,
  selection: Selection,
): void {
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
