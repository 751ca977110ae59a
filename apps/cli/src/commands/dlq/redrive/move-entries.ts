import { findStoredContent } from '@tidings/db/events/stored-content'
import {
  type RedriveResult,
  type RedriveTotals,
  redriveDeadLetters,
} from '@tidings/queue/dead-letters/redrive'
import { createOutcomeTracker, type OutcomeTracker } from '@tidings/queue/dead-letters/redrive-outcomes'
import type { Selection } from '@tidings/queue/dead-letters/selection'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import type { CliContext } from '../../../context.ts'
import { toIdLine } from '../../../terminal/output.ts'

export interface MoveOptions {
  /** Entries a second. */
  rate?: number
  /** Most entries to redrive. */
  max?: number
  /** Entries to redrive first. */
  canary?: number
  abortOnFailureRatio: number
  wait?: true
  /** Stop waiting when nothing has changed for this long, in milliseconds. */
  timeout: number
  force?: true
}

export interface RedriveOutcome {
  result: RedriveResult
  /** Present when the outcomes of entries were awaited: with --canary or --wait. */
  tracker: OutcomeTracker | undefined
  /** The share of the canary that was not stored, when it exceeds the limit. */
  canaryFailure: number | undefined
}

/** While more redriven entries than this have no outcome yet, moving pauses: their ids are kept in memory. */
const MAX_PENDING = 20_000

/** Redrives the canary first, when there is one, then the rest. */
export async function moveEntries(
  context: CliContext,
  store: DeadLetterStore,
  selection: Selection,
  options: MoveOptions,
  onTotals: (totals: RedriveTotals) => void,
): Promise<RedriveOutcome> {
  const { canary, rate, max, wait } = options
  const signal = context.interruption()
  const tracker =
    wait || canary !== undefined ? await openTracker(context, store, options.timeout) : undefined
  let isCanaryOpen = canary !== undefined
  let canaryFailure: number | undefined
  const checkCanary = async () => {
    isCanaryOpen = false
    const { stored, dead, pending } = (await tracker?.settle(0)) ?? { stored: 0, dead: 0, pending: 0 }
    // A pending entry counts as a failure: nothing shows that it was stored.
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
      if (context.globals.output === 'id')
        await context.terminal.write(moved.map(({ id }) => `${toIdLine(context.terminal, id)}\n`).join(''))
      if (isCanaryOpen || wait) tracker?.follow(moved)
      if (isCanaryOpen && canary !== undefined && totals.redriven >= canary) await checkCanary()
      if (tracker && tracker.outcomes.pending > MAX_PENDING) await tracker.settle(MAX_PENDING / 2)
      return canaryFailure === undefined ? undefined : 'stop'
    },
  })
  onTotals(result)
  if (isCanaryOpen) await checkCanary()
  else if (wait) await tracker?.settle(0)
  return { result, tracker, canaryFailure }
}

async function openTracker(
  context: CliContext,
  store: DeadLetterStore,
  patienceMs: number,
): Promise<OutcomeTracker> {
  const db = await context.database()
  return createOutcomeTracker({
    store,
    findStored: (events) => findStoredContent(db, events),
    signal: context.interruption(),
    recipientKey: context.env().RECIPIENT_KEY,
    patienceMs,
  })
}
