import { eventIdOf } from './entry-id.ts'
import type { DeadLetterStore } from './store.ts'

/**
 * The entry ids that an operator means by ids of entries or of events. An event may have several entries: all of
 * them are returned. An id without an entry is returned as it is, for the caller to report.
 */
export async function resolveEntryIds(
  store: Pick<DeadLetterStore, 'sizes' | 'findByEvent'>,
  ids: readonly string[],
): Promise<string[]> {
  const existing = await store.sizes(ids)
  const eventIds = new Set(ids.filter((id) => !existing.has(id)).map(eventIdOf))
  const found = eventIds.size === 0 ? [] : await store.findByEvent(eventIds)
  const byEvent = Map.groupBy(found, eventIdOf)
  const resolved = ids.flatMap((id) => (existing.has(id) ? [id] : (byEvent.get(eventIdOf(id)) ?? [id])))
  return [...new Set(resolved)]
}
