import { type DeadLetterEntry, MAX_BATCH, SCAN_PAGE } from './dead-letter-entry.ts'
import { createMatcher, type DeadLetterFilter } from './dead-letter-filter.ts'
import { type DeadLetterStore, isBehind, lastPosition, scanDeadLetters } from './dead-letter-store.ts'

/** What an operator points at: entries by id, or whatever matches a filter; an empty filter is everything. */
export type Selection = { kind: 'ids'; ids: readonly string[] } | { kind: 'filter'; filter: DeadLetterFilter }

export interface SelectedBatch {
  entries: DeadLetterEntry[]
  /** Ids asked for that are not there. */
  missing: string[]
}

/**
 * Reads the selected entries in batches of at most MAX_BATCH, oldest first. What is buried after the start is
 * not among them: a redriven event that dies again must not be redriven again by the same run.
 */
export async function* readSelection(
  store: Pick<DeadLetterStore, 'page' | 'get'>,
  selection: Selection,
): AsyncGenerator<SelectedBatch> {
  if (selection.kind === 'ids') {
    const ids = [...new Set(selection.ids)]
    for (let start = 0; start < ids.length; start += MAX_BATCH) {
      const wanted = ids.slice(start, start + MAX_BATCH)
      const entries = await store.get(wanted)
      const found = new Set(entries.map((entry) => entry.id))
      yield { entries, missing: wanted.filter((id) => !found.has(id)) }
    }
    return
  }
  const end = await lastPosition(store)
  if (end === undefined) return
  const matches = createMatcher(selection.filter)
  let batch: DeadLetterEntry[] = []
  for await (const page of scanDeadLetters(store, { pageSize: SCAN_PAGE })) {
    for (const { entry, position } of page) {
      if (isBehind(position, end)) break
      if (matches(entry)) batch.push(entry)
      if (batch.length === MAX_BATCH) {
        yield { entries: batch, missing: [] }
        batch = []
      }
    }
    const last = page.at(-1)
    if (last === undefined || isBehind(last.position, end)) break
  }
  if (batch.length > 0) yield { entries: batch, missing: [] }
}
