import type { Database } from '../database.ts'
import { deleteInSteps } from '../walk-table.ts'

/**
 * Removes the keys of events that were received before `time`. Their rows stay. Safe from several processes at once.
 *
 * @returns the number of keys removed.
 */
export function removeExpiredKeys(db: Database, time: Date, signal?: AbortSignal): Promise<number> {
  return deleteInSteps(db, 'event_keys', {
    condition: 'received_at < $1',
    values: [time],
    signal,
  })
}
