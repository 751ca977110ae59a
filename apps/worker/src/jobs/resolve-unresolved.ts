import { classifyFailure, sqlState } from '@tidings/db/failure'
import { Batcher } from '@tidings/runtime/batcher'
import { errorMessage } from '@tidings/shared/errors'
import { LIMITS, type StatusEvent, type UnresolvedEvent } from '@tidings/shared/status-event'
import { isUnpreparedStore, type WriteResult } from './batch-writer.ts'

/** Finds the notifications of events that name their message only; see resolveEvents. */
export type Resolve = (events: readonly UnresolvedEvent[]) => Promise<(StatusEvent | undefined)[]>

/** What one look for the notifications of a job's unresolved events found. */
export interface Look {
  resolved: readonly StatusEvent[]
  unknown: readonly UnresolvedEvent[]
  /** The look itself failed: nothing is known of any of the events. */
  failure?: Extract<WriteResult, { outcome: 'outage' | 'retry' }>
}

/** How long an event waits for another event that names its notification, from the first look, in milliseconds. */
export const UNRESOLVED_WAIT_MS = 5 * 60_000
/** The shortest and the longest time between two looks, in milliseconds. */
const LOOK_AGAIN_MS = 5_000
const MAX_LOOK_AGAIN_MS = 30_000

export const UNKNOWN_NOTIFICATION = {
  reason: 'unknown_notification',
  error: {
    code: 'unknown_notification',
    message: 'No stored event with this provider and provider_message_id names a notification.',
  },
} as const

/** Looks for the events of several jobs at once, on at most two connections. */
export function createResolver(resolve: Resolve): Resolve {
  const batcher = new Batcher<readonly UnresolvedEvent[], (StatusEvent | undefined)[]>({
    maxSize: LIMITS.envelopeEvents,
    sizeOf: (events) => events.length,
    windowMs: 0,
    maxInFlight: 2,
    async flush(jobs) {
      const found = await resolve(jobs.flat())
      let end = 0
      return jobs.map(({ length }) => {
        end += length
        return found.slice(end - length, end)
      })
    },
  })
  return (events) => batcher.add(events)
}

const NOTHING: Look = { resolved: [], unknown: [] }

/** Looks once. Never rejects. A job without such events costs nothing. */
export async function lookUp(events: readonly UnresolvedEvent[], resolve: Resolve): Promise<Look> {
  if (events.length === 0) return NOTHING
  try {
    const found = await resolve(events)
    return {
      resolved: found.filter((event) => event !== undefined),
      unknown: events.filter((_, index) => found[index] === undefined),
    }
  } catch (cause) {
    const code = sqlState(cause) ?? (cause instanceof Error ? cause.name : 'unknown')
    const isOutage = classifyFailure(cause) === 'outage' || isUnpreparedStore(code)
    const error = { code, message: errorMessage(cause) }
    return { ...NOTHING, failure: { outcome: isOutage ? 'outage' : 'retry', error } }
  }
}

/**
 * How long to wait before the next look, in milliseconds; undefined when no event waits, or all have waited long
 * enough. The longer they have waited, the rarer the looks.
 *
 * @param since when the first look was in vain; undefined if that was now.
 */
export function nextLookMs({ unknown }: Look, since: Date | undefined, waitMs: number): number | undefined {
  // A producer may have written a time far in the future.
  const waitedMs = since === undefined ? 0 : Math.abs(Date.now() - since.getTime())
  if (unknown.length === 0 || waitedMs >= waitMs) return undefined
  return Math.min(Math.max(waitedMs, LOOK_AGAIN_MS), MAX_LOOK_AGAIN_MS, waitMs - waitedMs)
}
