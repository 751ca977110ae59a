import { eventIdOf, isEntryId } from './entry-id.ts'
import type { DeadLetterStore } from './store.ts'

/**
 * Resolves each event id to all entries of the event. An entry id stays as it is, and so does an id without an entry:
 * the caller reports those that do not exist.
 */
export async function resolveEntryIds(
  store: Pick<DeadLetterStore, 'sizes' | 'findByEvent'>,
  ids: readonly string[],
): Promise<string[]> {
  const existing = await store.sizes(ids)
  // An exact entry id never stands for another entry of its event, even when it is gone.
  const isEvent = (id: string) => !isEntryId(id) && !existing.has(id)
  const eventIds = new Set(ids.filter(isEvent).map(eventIdOf))
  const found = eventIds.size === 0 ? [] : await store.findByEvent(eventIds)
  const byEvent = Map.groupBy(found, eventIdOf)
  const resolved = ids.flatMap((id) => (isEvent(id) ? (byEvent.get(eventIdOf(id)) ?? [id]) : [id]))
  return [...new Set(resolved)]
}
