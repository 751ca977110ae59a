import { MAX_REDRIVES } from '@tidings/shared/dead-letter'
import type { QueueDepth } from '../queue-depth.ts'
import { eventFields, SCAN_PAGE } from './entry.ts'
import { scanDeadLetters } from './scan.ts'
import type { DeadLetterStore } from './store.ts'

/** Totals over all dead letters. Times are ISO 8601. */
export interface DeadLetterStats {
  depth: number
  /** `dead_at` of the oldest dead letter. */
  oldest: string | undefined
  newest: string | undefined
  /** Dead letters added in the last minute and hour, and not removed since. */
  inflow: { last_minute: number; last_hour: number }
  /** Dead letters added in each of the last INFLOW_MINUTES minutes, oldest first. */
  inflow_per_minute: number[]
  by_reason: Record<string, number>
  by_type: Record<string, number>
  /** Redriven MAX_REDRIVES times: only `redrive --force` takes them. */
  exhausted: number
  queue: QueueDepth
}

const INFLOW_MINUTES = 60
const MINUTE_MS = 60_000

/** Adds up all dead letters. Reads every entry once. */
export async function readDeadLetterStats(
  store: DeadLetterStore,
  now = Date.now(),
): Promise<DeadLetterStats> {
  const stats: DeadLetterStats = {
    depth: 0,
    oldest: undefined,
    newest: undefined,
    inflow: { last_minute: 0, last_hour: 0 },
    inflow_per_minute: Array.from({ length: INFLOW_MINUTES }, () => 0),
    by_reason: {},
    by_type: {},
    exhausted: 0,
    queue: await store.depth(),
  }
  const add = (counts: Record<string, number>, name: string) => {
    counts[name] = (counts[name] ?? 0) + 1
  }
  for await (const page of scanDeadLetters(store, { pageSize: SCAN_PAGE })) {
    for (const { entry } of page) {
      stats.depth++
      add(stats.by_reason, entry.reason)
      add(stats.by_type, eventFields(entry.event).type ?? 'unknown')
      if (entry.redrives >= MAX_REDRIVES) stats.exhausted++
      if (stats.oldest === undefined || entry.dead_at < stats.oldest) stats.oldest = entry.dead_at
      if (stats.newest === undefined || entry.dead_at > stats.newest) stats.newest = entry.dead_at
      const minutesAgo = Math.max(0, Math.floor((now - Date.parse(entry.dead_at)) / MINUTE_MS))
      const slot = INFLOW_MINUTES - 1 - minutesAgo
      const before = stats.inflow_per_minute[slot]
      if (before !== undefined) stats.inflow_per_minute[slot] = before + 1
    }
  }
  stats.inflow = {
    last_minute: stats.inflow_per_minute.at(-1) ?? 0,
    last_hour: stats.inflow_per_minute.reduce((sum, failedEvents) => sum + failedEvents, 0),
  }
  return stats
}
