import type { DeadLetterReason } from '@tidings/shared/dead-letter'
import { type DeadLetterEntry, SCAN_PAGE, UNREADABLE_EVENT } from './entry.ts'
import { createMatcher, type DeadLetterFilter } from './filter.ts'
import { normalizeMessage } from './fingerprint.ts'
import { scanDeadLetters } from './scan.ts'
import type { DeadLetterStore } from './store.ts'

/** Dead letters with one fingerprint. Times are ISO 8601. */
export interface DeadLetterGroup {
  fingerprint: string
  reason: DeadLetterReason
  error: { code: string; message: string }
  count: number
  first_seen: string
  last_seen: string
  sample_id: string
}

/**
 * The message that stands for a group. That of an unreadable event names fields and rules and holds no values: what it
 * quotes are our own words, such as the allowed statuses.
 */
const shownMessage = ({ error }: Pick<DeadLetterEntry, 'error'>): string =>
  error.code === UNREADABLE_EVENT ? error.message : normalizeMessage(error.message)

/**
 * Groups the entries that match the filter. Entries with one fingerprint form a group; the largest group comes first.
 * Reads every entry once.
 *
 * @param onProgress called with the number of entries read so far.
 */
export async function groupDeadLetters(
  store: Pick<DeadLetterStore, 'parts'>,
  filter: DeadLetterFilter,
  onProgress?: (read: number) => void,
): Promise<DeadLetterGroup[]> {
  const matches = createMatcher(filter)
  const groups = new Map<string, DeadLetterGroup>()
  let read = 0
  for await (const page of scanDeadLetters(store, { pageSize: SCAN_PAGE })) {
    for (const { entry } of page) {
      if (!matches(entry)) continue
      const group = groups.get(entry.fingerprint)
      if (group === undefined) {
        groups.set(entry.fingerprint, {
          fingerprint: entry.fingerprint,
          reason: entry.reason,
          error: { code: entry.error.code, message: shownMessage(entry) },
          count: 1,
          first_seen: entry.first_failed_at,
          last_seen: entry.dead_at,
          sample_id: entry.id,
        })
        continue
      }
      group.count++
      if (entry.first_failed_at < group.first_seen) group.first_seen = entry.first_failed_at
      if (entry.dead_at > group.last_seen) {
        group.last_seen = entry.dead_at
        group.sample_id = entry.id
      }
    }
    read += page.length
    onProgress?.(read)
  }
  return [...groups.values()].sort((a, b) => b.count - a.count || (a.fingerprint < b.fingerprint ? -1 : 1))
}
