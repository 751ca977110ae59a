import type { DeadLetterEntry } from './entry.ts'
import { readSelection, type Selection } from './selection.ts'
import type { DeadLetterStore } from './store.ts'

export interface DeleteRequest {
  selection: Selection
  /** An abort ends the run after the current batch. */
  signal?: AbortSignal | undefined
  /** The run calls it before each deletion and awaits it: the caller may write the entries to a file first. */
  beforeBatch?(entries: readonly DeadLetterEntry[]): Promise<void>
  onBatch?(totals: DeleteTotals): void
}

export interface DeleteTotals {
  matched: number
  deleted: number
  /** Entries that do not exist, or that another process removed or buried again during this run. */
  gone: number
}

export interface DeleteResult extends DeleteTotals {
  end: 'done' | 'interrupted'
}

/** Deletes dead letters for good, batch by batch. */
export async function deleteDeadLetters(
  store: DeadLetterStore,
  { selection, signal, beforeBatch, onBatch }: DeleteRequest,
): Promise<DeleteResult> {
  const totals: DeleteTotals = { matched: 0, deleted: 0, gone: 0 }
  for await (const { entries, missing } of readSelection(store, selection)) {
    if (signal?.aborted) return { ...totals, end: 'interrupted' }
    totals.matched += entries.length
    totals.gone += missing.length
    if (entries.length > 0) {
      await beforeBatch?.(entries)
      const deleted = await store.discard(entries)
      totals.deleted += deleted.length
      totals.gone += entries.length - deleted.length
    }
    onBatch?.(totals)
  }
  return { ...totals, end: signal?.aborted ? 'interrupted' : 'done' }
}
