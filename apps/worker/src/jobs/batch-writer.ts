import type { StoreOutcome } from '@tidings/db/events/status-events'
import { classifyFailure, sqlState } from '@tidings/db/failure'
import { Batcher } from '@tidings/runtime/batcher'
import { errorMessage } from '@tidings/shared/errors'
import type { StatusEvent } from '@tidings/shared/status-event'

export interface WriteError {
  code: string
  message: string
}

/** The outcome of writing one event. */
export type WriteResult =
  | { outcome: 'stored' }
  | { outcome: 'duplicate' }
  /** The event can never be stored. */
  | { outcome: 'dead'; reason: 'unknown_user' | 'conflict' | 'invalid_event'; error: WriteError }
  /** This attempt failed and counts. */
  | { outcome: 'retry'; error: WriteError }
  /** PostgreSQL is unreachable, takes no writes, or lacks a migration or a grant. The attempt does not count. */
  | { outcome: 'outage'; error: WriteError }

/** Stores a batch. After an error some of its rows may be stored; the caller may store it again. */
export type Store = (events: readonly StatusEvent[]) => Promise<StoreOutcome[]>

export interface BatchWriterOptions {
  store: Store
  /** Statements in flight at once, each on its own connection. */
  writers: number
  maxRows?: number
  /** True when this many waiting jobs make a good batch: the writer then waits no longer for others. */
  flushEarly?(jobs: number): boolean
}

export interface BatchWriter {
  /** Writes a job's events together with other waiting events. Returns a result for each. Never rejects. */
  write(events: readonly StatusEvent[]): Promise<WriteResult[]>
  /** Writes one event in its own statement, for an event that may make the process exit. Never rejects. */
  writeAlone(event: StatusEvent): Promise<WriteResult>
  drain(): Promise<void>
}

/**
 * How long the first event of a batch waits for others, in milliseconds. Waiting saves statements, each of which
 * costs as much as about ten rows, and delays no reader noticeably.
 */
const GATHER_WINDOW_MS = 5

const DEAD_LETTER_ERRORS = {
  unknown_user: { code: 'unknown_user', message: 'No user has this user_id.' },
  conflict: { code: 'conflict', message: 'The idempotency key was used before with other content.' },
  other_user: { code: 'other_user', message: 'An earlier event of this notification names another user.' },
} as const

/**
 * Writes the events of many jobs in few statements. When a statement fails because of its content, it is halved until
 * the failing events stand alone: one bad event never fails its neighbours.
 */
export function createBatchWriter(options: BatchWriterOptions): BatchWriter {
  const { store, writers, maxRows = 1_000, flushEarly = () => false } = options
  const batcher = new Batcher<readonly StatusEvent[], WriteResult[]>({
    maxSize: maxRows,
    sizeOf: (events) => events.length,
    flushEarly,
    windowMs: GATHER_WINDOW_MS,
    maxInFlight: writers,
    async flush(jobs) {
      const results = await writeOrHalve(store, jobs.flat())
      let end = 0
      return jobs.map(({ length }) => {
        end += length
        return results.slice(end - length, end)
      })
    },
  })

  return {
    write: (events) => (events.length === 0 ? Promise.resolve([]) : batcher.add(events)),
    async writeAlone(event) {
      const [result] = await writeOrHalve(store, [event])
      return result ?? { outcome: 'retry', error: { code: 'internal', message: 'The store gave no answer.' } }
    },
    drain: () => batcher.drain(),
  }
}

/**
 * SQLSTATEs of failures of the whole statement rather than of one row: halving would only repeat them.
 * 57014 timeout, 40001 serialization, 40P01 deadlock.
 */
const STATEMENT_FAILURES = new Set(['57014', '40001', '40P01'])

/**
 * SQLSTATE class 42: PostgreSQL rejects the statement itself, usually because a migration or a grant is missing. The
 * events are not to blame, so they wait as in an outage.
 */
export const isUnpreparedStore = (code: string) => /^42[0-9A-Z]{3}$/.test(code)

async function writeOrHalve(store: Store, events: StatusEvent[]): Promise<WriteResult[]> {
  try {
    return (await store(events)).map(toResult)
  } catch (cause) {
    const code = sqlState(cause) ?? (cause instanceof Error ? cause.name : 'unknown')
    const error = { code, message: errorMessage(cause) }
    const failure = classifyFailure(cause)
    if (failure === 'outage' || isUnpreparedStore(code))
      return events.map(() => ({ outcome: 'outage', error }))
    if (events.length > 1 && !STATEMENT_FAILURES.has(code)) return writeHalves(store, events)
    if (failure === 'transient') return events.map(() => ({ outcome: 'retry', error }))
    // 23503 foreign key: the user was erased between the check and the insert.
    const reason = code === '23503' ? 'unknown_user' : 'invalid_event'
    return events.map(() => ({ outcome: 'dead', reason, error }))
  }
}

async function writeHalves(store: Store, events: StatusEvent[]): Promise<WriteResult[]> {
  const middle = Math.ceil(events.length / 2)
  const first = await writeOrHalve(store, events.slice(0, middle))
  // After an outage in the first half, the second half would only meet the same outage.
  const outage = first.find((result) => result.outcome === 'outage')
  if (outage) return [...first, ...events.slice(middle).map(() => outage)]
  return [...first, ...(await writeOrHalve(store, events.slice(middle)))]
}

function toResult(outcome: StoreOutcome): WriteResult {
  if (outcome === 'stored' || outcome === 'duplicate') return { outcome }
  const reason = outcome === 'unknown_user' ? 'unknown_user' : 'conflict'
  return { outcome: 'dead', reason, error: DEAD_LETTER_ERRORS[outcome] }
}
