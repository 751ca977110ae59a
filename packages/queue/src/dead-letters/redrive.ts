import { setTimeout as sleep } from 'node:timers/promises'
import { MAX_REDRIVES } from '@tidings/shared/dead-letter'
import { fitsEnvelope } from '../envelope.ts'
import { type DeadLetterEntry, isEventObject, MAX_BATCH, MAX_BATCH_BYTES } from './entry.ts'
import { readSelection, type Selection } from './selection.ts'
import type { DeadLetterStore } from './store.ts'

export interface RedriveRequest {
  selection: Selection
  /** Also redrives entries that were redriven MAX_REDRIVES times, and events that are not objects. */
  force: boolean
  /** Ends after this many moved entries. */
  max?: number | undefined
  /** Entries per second. */
  rate?: number | undefined
  /** Ends a batch after exactly this many moved entries, so that the caller can check the first ones. */
  checkpoint?: number | undefined
  /** Ends after the batch in hand when aborted. */
  signal?: AbortSignal | undefined
  /** Called, and awaited, after each batch. Returning `stop` ends the run. */
  onBatch?(moved: readonly DeadLetterEntry[], totals: RedriveTotals): Promise<'stop' | undefined>
}

/** The outcome for the selected entries so far. */
export interface RedriveTotals {
  /** Selected and read. */
  matched: number
  /** Moved to the main queue by this run. */
  redriven: number
  /** Skipped: redriven MAX_REDRIVES times before. */
  exhausted: number
  /** Skipped: the event is not an object and can never be stored. */
  unreadable: number
  /** Skipped, even with `force`: the worker would keep only the beginning of such a long event. */
  oversized: number
  /** Asked for by id and not there, or moved or deleted by another operator meanwhile. */
  gone: number
}

export interface RedriveResult extends RedriveTotals {
  /** Why the run ended. */
  end: 'done' | 'max' | 'interrupted' | 'stopped'
}

/**
 * Sends dead letters back to the main queue with fresh attempts, oldest first, in atomic batches. At any moment, even
 * after a crash, each entry is either a dead letter or queued. Running the same command again does the rest.
 */
export async function redriveDeadLetters(
  store: DeadLetterStore,
  request: RedriveRequest,
): Promise<RedriveResult> {
  const { max, rate, signal } = request
  const totals: RedriveTotals = {
    matched: 0,
    redriven: 0,
    exhausted: 0,
    unreadable: 0,
    oversized: 0,
    gone: 0,
  }
  const startedAt = performance.now()

  for await (const { entries, missing, bytes } of readSelection(store, request.selection)) {
    totals.matched += entries.length
    totals.gone += missing.length
    const ready = entries.filter((entry) => {
      const obstacle = findObstacle(entry, bytes, request.force)
      if (obstacle !== undefined) totals[obstacle]++
      return obstacle === undefined
    })
    while (ready.length > 0) {
      if (signal?.aborted) return { ...totals, end: 'interrupted' }
      const batch = ready.splice(0, nextBatchSize(request, totals.redriven))
      const moved = await store.requeue(
        batch.map((entry) => entry.id),
        // Check the entry as the move reads it: it may have been redriven and dead-lettered again meanwhile.
        (entry) => (findObstacle(entry, bytes, request.force) ? undefined : toRedrivenEvent(entry)),
      )
      totals.redriven += moved.length
      totals.gone += batch.length - moved.length
      if ((await request.onBatch?.(moved, totals)) === 'stop') return { ...totals, end: 'stopped' }
      if (max !== undefined && totals.redriven >= max) return { ...totals, end: 'max' }
      if (rate !== undefined) {
        const aheadMs = (totals.redriven / rate) * 1_000 - (performance.now() - startedAt)
        if (aheadMs > 0) await sleep(aheadMs, undefined, signal ? { signal } : {}).catch(() => undefined)
      }
    }
  }
  return { ...totals, end: signal?.aborted ? 'interrupted' : 'done' }
}

/**
 * Why an entry cannot be redriven; undefined when it can.
 *
 * @param batchBytes size of all entries read together. An entry that is too long is always read alone.
 */
export function findObstacle(
  entry: DeadLetterEntry,
  batchBytes: number,
  force: boolean,
): 'exhausted' | 'unreadable' | 'oversized' | undefined {
  if (batchBytes > MAX_BATCH_BYTES && !fitsEnvelope(toRedrivenEvent(entry))) return 'oversized'
  if (force) return undefined
  if (entry.redrives >= MAX_REDRIVES) return 'exhausted'
  return isEventObject(entry.event) ? undefined : 'unreadable'
}

/** The event to enqueue. It carries its number of redrives, which a later dead letter shows. */
function toRedrivenEvent(entry: DeadLetterEntry): unknown {
  return isEventObject(entry.event) ? { ...entry.event, redrives: entry.redrives + 1 } : (entry.event ?? null)
}

function nextBatchSize({ rate, max, checkpoint }: RedriveRequest, redriven: number): number {
  const limits = [MAX_BATCH]
  if (max !== undefined) limits.push(max - redriven)
  if (rate !== undefined) limits.push(Math.max(1, Math.floor(rate)))
  if (checkpoint !== undefined && checkpoint > redriven) limits.push(checkpoint - redriven)
  return Math.min(...limits)
}
