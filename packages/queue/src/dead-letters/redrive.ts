import { setTimeout as sleep } from 'node:timers/promises'
import { MAX_REDRIVES } from '@tidings/shared/dead-letter'
import { fitsEnvelope } from '../envelope.ts'
import {
  type DeadLetterEntry,
  isEventObject,
  isWholeJob,
  MAX_BATCH,
  MAX_BATCH_BYTES,
  UNREADABLE_EVENT,
} from './entry.ts'
import { readSelection, type Selection } from './selection.ts'
import type { DeadLetterStore } from './store.ts'

export interface RedriveRequest {
  selection: Selection
  /** Also redrives entries that were redriven MAX_REDRIVES times, and events that are not objects. */
  force: boolean
  /** The run ends when it has moved this many entries. */
  max?: number | undefined
  /** Entries per second. */
  rate?: number | undefined
  /** One batch ends when the run has moved exactly this many entries, so that the caller can check them. */
  checkpoint?: number | undefined
  /** An abort ends the run after the current batch. */
  signal?: AbortSignal | undefined
  /** The run calls it after each batch and awaits it. Returning `stop` ends the run. */
  onBatch?(moved: readonly DeadLetterEntry[], totals: RedriveTotals): Promise<'stop' | undefined>
}

/** Counts of the selected entries so far, by what the run did. */
export interface RedriveTotals {
  /** Entries that the run read. */
  matched: number
  /** Moved to the main queue by this run. */
  redriven: number
  /** Skipped: redriven MAX_REDRIVES times before. */
  exhausted: number
  /** Skipped: the event is not an object and can never be stored. */
  unreadable: number
  /** Skipped, even with `force`: the worker would keep only the beginning of such a long event. */
  oversized: number
  /** Entries that the run did not find, or could no longer move when it reached them. */
  gone: number
}

export interface RedriveResult extends RedriveTotals {
  /** `stopped`: onBatch returned `stop`. `interrupted`: the signal was aborted. */
  end: 'done' | 'max' | 'interrupted' | 'stopped'
}

/**
 * Sends dead letters back to the main queue, where they get new attempts. Each move is atomic: a crash leaves an
 * entry either in the dead-letter queue or in the main queue. Running the same command again does the rest.
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
        // Check again inside the move: the worker may have buried the entry again since the batch was read.
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
 * @param batchBytes size of all entries read together. Only an entry that was read alone can be too long, so smaller
 *   batches skip the check.
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

/**
 * The event to enqueue. An event that is an object carries its number of redrives, which a later dead letter shows. An
 * unreadable event also carries a key: if it is readable by now, its id follows from the key and not from the new job.
 * What a newer version wrote stays as it was.
 */
export function toRedrivenEvent(entry: DeadLetterEntry): unknown {
  if (isWholeJob(entry)) return entry.event
  if (!isEventObject(entry.event)) return entry.event ?? null
  const key = entry.error.code === UNREADABLE_EVENT && { redrive_key: `${entry.id}/${entry.dead_at}` }
  return { ...key, ...entry.event, redrives: entry.redrives + 1 }
}

function nextBatchSize({ rate, max, checkpoint }: RedriveRequest, redriven: number): number {
  const limits = [MAX_BATCH]
  if (max !== undefined) limits.push(max - redriven)
  if (rate !== undefined) limits.push(Math.max(1, Math.floor(rate)))
  if (checkpoint !== undefined && checkpoint > redriven) limits.push(checkpoint - redriven)
  return Math.min(...limits)
}
