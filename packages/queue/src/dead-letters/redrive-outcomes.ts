import { setTimeout as sleep } from 'node:timers/promises'
import type { EventReference, StoredContent } from '@tidings/db/events/stored-content'
import { parseEnvelope } from '../envelope.ts'
import { STATUS_QUEUE } from '../policy.ts'
import { type DeadLetterEntry, isStored, toReference, UNREADABLE_EVENT } from './entry.ts'
import { deadLetterId } from './entry-id.ts'
import { toRedrivenEvent } from './redrive.ts'
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
  findStored(events: readonly EventReference[]): Promise<StoredContent>
  signal?: AbortSignal | undefined
  /** See digestRecipient. */
  recipientKey: string
  patienceMs: number
  onChange?(outcomes: Outcomes): void
}

/** A redriven entry, and where it will be found. */
interface Followed extends Pick<DeadLetterEntry, 'id' | 'event' | 'error'> {
  /** The ids under which the worker may bury it again. */
  deadIds: string[]
}

/**
 * An unreadable event may be readable by now: by a newer worker, or after a repair. Its row or its next dead letter
 * then has the id that the worker gives to the event, not the one of the entry.
 */
function toFollowed(entry: DeadLetterEntry, recipientKey: string): Followed {
  const { id, event, error } = entry
  if (error.code !== UNREADABLE_EVENT) return { id, event, error, deadIds: [id] }
  const job = {
    data: { v: 1, events: [toRedrivenEvent(entry)] },
    timestamp: Date.now(),
    queueName: STATUS_QUEUE,
  }
  const { events, unresolved, invalid } = parseEnvelope(job, recipientKey)
  const [readable] = [...events, ...unresolved]
  const deadAgain = [
    ...[...events, ...unresolved].map((each) =>
      deadLetterId({ eventId: each.id, event: each, contentHash: each.content_hash }),
    ),
    ...invalid.map((each) => deadLetterId({ eventId: each.id, event: each.raw })),
  ]
  return {
    id,
    event: readable ?? event,
    error: readable ? { code: '', message: '' } : error,
    deadIds: [id, ...deadAgain],
  }
}

const CHECK_BATCH = 500
const POLL_MS = 200

export function createOutcomeTracker(options: TrackerOptions): OutcomeTracker {
  const { store, findStored, signal, patienceMs, recipientKey } = options
  const open = new Map<string, Followed>()
  const outcomes: Outcomes = { stored: 0, dead: 0, pending: 0 }

  async function check(ids: readonly string[]): Promise<void> {
    const followed = ids.flatMap((id) => open.get(id) ?? [])
    const stored = await findStored(followed.map(toReference))
    const dead = await store.sizes(followed.flatMap(({ deadIds }) => deadIds))
    for (const entry of followed) {
      const isRow = isStored(entry, stored)
      if (!isRow && !entry.deadIds.some((id) => dead.has(id))) continue
      open.delete(entry.id)
      outcomes[isRow ? 'stored' : 'dead']++
    }
    outcomes.pending = open.size
  }

  return {
    outcomes,
    follow(entries) {
      for (const entry of entries) open.set(entry.id, toFollowed(entry, recipientKey))
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
