import type { DeadLetterEntry } from './entry.ts'
import { readSelection, type Selection } from './selection.ts'
import type { DeadLetterStore } from './store.ts'

export interface DeleteRequest {
  selection: Selection
  /** Ends after the batch in hand when aborted. */
  signal?: AbortSignal | undefined
  /** Called, and awaited, with the entries that are about to be deleted: a caller may write them to a file first. */
  beforeBatch?(entries: readonly DeadLetterEntry[]): Promise<void>
  onBatch?(totals: DeleteTotals): void
}

export interface DeleteTotals {
  matched: number
  deleted: number
  /** Asked for by id and not there, or changed by somebody else meanwhile. */
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
