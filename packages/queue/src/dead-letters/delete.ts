import { type DeadLetterEntry, MAX_BATCH } from './entry.ts'
import { isTooMuch, readSelection, type Selection } from './selection.ts'
import type { DeadLetterStore } from './store.ts'

export interface DeleteRequest {
  selection: Selection
  /** Ends after the chunk in hand when aborted. */
  signal?: AbortSignal | undefined
  /**
   * Called, and awaited, with the entries that are about to be deleted: write down here what must be known of
   * them, should the process be killed in the middle.
   */
  onIntent(entries: readonly DeadLetterEntry[]): Promise<void>
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

/** The most entries announced at once: one row in the audit table for all of them. */
export const INTENT_SIZE = 1_000

/** Deletes dead letters for good. Killed at any point, each entry is there or it was announced. */
export async function deleteDeadLetters(
  store: DeadLetterStore,
  { selection, signal, onIntent, onBatch }: DeleteRequest,
): Promise<DeleteResult> {
  const totals: DeleteTotals = { matched: 0, deleted: 0, gone: 0 }
  let chunk: DeadLetterEntry[] = []
  let chunkBytes = 0

  async function deleteChunk() {
    if (chunk.length === 0) return
    await onIntent(chunk)
    for (let start = 0; start < chunk.length; start += MAX_BATCH) {
      const batch = chunk.slice(start, start + MAX_BATCH)
      const deleted = await store.discard(batch)
      totals.deleted += deleted.length
      totals.gone += batch.length - deleted.length
      onBatch?.(totals)
    }
    chunk = []
    chunkBytes = 0
  }

  for await (const { entries, missing, bytes } of readSelection(store, selection)) {
    if (signal?.aborted) return { ...totals, end: 'interrupted' }
    totals.matched += entries.length
    totals.gone += missing.length
    if (isTooMuch(chunkBytes, bytes)) await deleteChunk()
    chunk.push(...entries)
    chunkBytes += bytes
    if (chunk.length >= INTENT_SIZE) await deleteChunk()
  }
  if (signal?.aborted) return { ...totals, end: 'interrupted' }
  await deleteChunk()
  return { ...totals, end: 'done' }
}
