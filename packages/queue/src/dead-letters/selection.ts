import { type DeadLetterEntry, MAX_BATCH, MAX_BATCH_BYTES, SCAN_PAGE } from './entry.ts'
import { createMatcher, type DeadLetterFilter } from './filter.ts'
import { lastPositions, scanDeadLetters } from './scan.ts'
import type { DeadLetterStore } from './store.ts'

/** What an operator selects: entries by id, or all entries that match a filter. An empty filter matches all. */
export type Selection = { kind: 'ids'; ids: readonly string[] } | { kind: 'filter'; filter: DeadLetterFilter }

export interface SelectedBatch {
  entries: DeadLetterEntry[]
  /** Requested ids that have no entry. */
  missing: string[]
  /** Size of the entries in the store. */
  bytes: number
}

/**
 * Reads the selected entries in batches of at most MAX_BATCH entries and MAX_BATCH_BYTES. An id selection keeps the
 * order of the ids. A filter selection yields the oldest entry first and skips entries buried after the start: one
 * run must not redrive an event again that was dead-lettered again meanwhile.
 */
export async function* readSelection(
  store: Pick<DeadLetterStore, 'parts' | 'sizes' | 'get'>,
  selection: Selection,
): AsyncGenerator<SelectedBatch> {
  if (selection.kind === 'ids') {
    const ids = [...new Set(selection.ids)]
    for (let start = 0; start < ids.length; start += MAX_BATCH) {
      const wanted = ids.slice(start, start + MAX_BATCH)
      for (const { part, bytes } of cutBySize(wanted, await store.sizes(wanted))) {
        const entries = await store.get(part)
        const found = new Set(entries.map((entry) => entry.id))
        yield { entries, missing: part.filter((id) => !found.has(id)), bytes }
      }
    }
    return
  }
  const matches = createMatcher(selection.filter)
  let batch: SelectedBatch = { entries: [], missing: [], bytes: 0 }
  const until = await lastPositions(store)
  for await (const page of scanDeadLetters(store, { pageSize: SCAN_PAGE, until })) {
    for (const { entry, bytes } of page) {
      if (!matches(entry)) continue
      if (batch.entries.length === MAX_BATCH || isTooMuch(batch.bytes, bytes)) {
        yield batch
        batch = { entries: [], missing: [], bytes: 0 }
      }
      batch.entries.push(entry)
      batch.bytes += bytes
    }
  }
  if (batch.entries.length > 0) yield batch
}

/** True when adding `more` bytes makes a non-empty batch larger than MAX_BATCH_BYTES. A larger entry goes alone. */
export const isTooMuch = (bytes: number, more: number): boolean => bytes > 0 && bytes + more > MAX_BATCH_BYTES

function* cutBySize(ids: readonly string[], sizes: ReadonlyMap<string, number>) {
  let part: string[] = []
  let bytes = 0
  for (const id of ids) {
    const size = sizes.get(id) ?? 0
    if (isTooMuch(bytes, size)) {
      yield { part, bytes }
      part = []
      bytes = 0
    }
    part.push(id)
    bytes += size
  }
  if (part.length > 0) yield { part, bytes }
}
