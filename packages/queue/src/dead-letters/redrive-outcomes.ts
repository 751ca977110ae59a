import { setTimeout as sleep } from 'node:timers/promises'
import type { StoredContent } from '@tidings/db/events/status-events'
import { type DeadLetterEntry, eventFields, isStored } from './entry.ts'
import type { DeadLetterStore } from './store.ts'

/** How many redriven entries ended in each way. */
export interface Outcomes {
  stored: number
  /** Dead-lettered again. */
  dead: number
  /** Not known yet. */
  pending: number
}

/** Follows redriven entries until each is a row or a dead letter again. */
export interface OutcomeTracker {
  readonly outcomes: Outcomes
  follow(entries: readonly DeadLetterEntry[]): void
  /**
   * Waits until at most `pending` entries are open, the signal is aborted, or no outcome has become known for
   * `patienceMs`.
   */
  settle(pending: number): Promise<Outcomes>
}

export interface TrackerOptions {
  store: Pick<DeadLetterStore, 'sizes'>
  findStored(eventIds: readonly string[]): Promise<StoredContent>
  signal?: AbortSignal | undefined
  patienceMs: number
  onChange?(outcomes: Outcomes): void
}

const CHECK_BATCH = 500
const POLL_MS = 200

export function createOutcomeTracker(options: TrackerOptions): OutcomeTracker {
  const { store, findStored, signal, patienceMs } = options
  const open = new Map<string, Pick<DeadLetterEntry, 'event' | 'error'>>()
  const outcomes: Outcomes = { stored: 0, dead: 0, pending: 0 }

  async function check(ids: readonly string[]): Promise<void> {
    const eventIds = ids.map((id) => eventFields(open.get(id)?.event).id ?? '')
    const stored = await findStored(eventIds)
    const dead = await store.sizes(ids)
    for (const id of ids) {
      const entry = open.get(id)
      if (entry === undefined) continue
      const isRow = isStored(entry, stored)
      if (!isRow && !dead.has(id)) continue
      open.delete(id)
      outcomes[isRow ? 'stored' : 'dead']++
    }
    outcomes.pending = open.size
  }

  return {
    outcomes,
    follow(entries) {
      for (const { id, event, error } of entries) open.set(id, { event, error })
      outcomes.pending = open.size
    },
    async settle(pending) {
      let changedAt = performance.now()
      while (open.size > pending && !signal?.aborted && performance.now() - changedAt < patienceMs) {
        const before = open.size
        const ids = [...open.keys()]
        for (let start = 0; start < ids.length; start += CHECK_BATCH) {
          await check(ids.slice(start, start + CHECK_BATCH))
        }
        options.onChange?.(outcomes)
        if (open.size < before) changedAt = performance.now()
        if (open.size > pending)
          await sleep(POLL_MS, undefined, signal ? { signal } : {}).catch(() => undefined)
      }
      return outcomes
    },
  }
}
