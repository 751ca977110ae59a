import type { StoreOutcome } from '@tidings/db/events/status-events'
import { classifyFailure, sqlState } from '@tidings/db/failure'
import { Batcher } from '@tidings/runtime/batcher'
import { errorMessage } from '@tidings/shared/errors'
import type { StatusEvent } from '@tidings/shared/status-event'

export interface WriteError {
  code: string
  message: string
}

/** What became of one event. */
export type WriteResult =
  | { outcome: 'stored' }
  | { outcome: 'duplicate' }
  /** Can never be stored. */
  | { outcome: 'dead'; reason: 'unknown_user' | 'conflict' | 'invalid_event'; error: WriteError }
  /** Failed this time; counts as an attempt. */
  | { outcome: 'retry'; error: WriteError }
  /** The store is away; counts as nothing. */
  | { outcome: 'outage'; error: WriteError }

/** Stores a batch whole or throws: storeStatusEvents on a pool. `lane` is 0..lanes; the last is writeAlone's. */
export type Store = (events: readonly StatusEvent[], lane: number) => Promise<StoreOutcome[]>

export interface BatchWriterOptions {
  store: Store
  /** Batches written at once, each on a connection of its own. */
  writers: number
  maxRows?: number
  /** Whether so many jobs, whose events wait for a lane, need not wait for more. */
  flushEarly?(jobs: number): boolean
}

export interface BatchWriter {
  /** Writes a job's events together with whatever else is waiting; a result for each. Never rejects. */
  write(events: readonly StatusEvent[]): Promise<WriteResult[]>
  /**
   * Writes the event by itself, in a lane of its own: for one that may take the process down with it. Only one at a
   * time. Never rejects.
   */
  writeAlone(event: StatusEvent): Promise<WriteResult>
  drain(): Promise<void>
}

/**
 * How long the first event of a batch waits for others, in milliseconds. A statement costs as much as some ten
 * rows, its jobs are finished together, and nobody waits for a row that soon.
 */
const GATHER_WINDOW_MS = 5

const DEAD_LETTER_ERRORS = {
  unknown_user: { code: 'unknown_user', message: 'No user has this user_id.' },
  conflict: { code: 'conflict', message: 'The idempotency key was used before with other content.' },
} as const

/**
 * Writes events of many jobs in few statements. A batch that fails for its content is halved until the
 * events that fail stand alone: one bad event never fails its neighbours.
 */
export function createBatchWriter(options: BatchWriterOptions): BatchWriter {
  const { store, writers, maxRows = 1_000, flushEarly = () => false } = options
  const freeLanes = Array.from({ length: writers }, (_, lane) => lane)

  const batcher = new Batcher<readonly StatusEvent[], WriteResult[]>({
    maxSize: maxRows,
    sizeOf: (events) => events.length,
    flushEarly,
    windowMs: GATHER_WINDOW_MS,
    maxInFlight: writers,
    async flush(jobs) {
      // There are as many lanes as flushes, so one is free.
      const lane = freeLanes.pop() ?? 0
      try {
        const results = await writeOrHalve(store, jobs.flat(), lane)
        let end = 0
        return jobs.map(({ length }) => {
          end += length
          return results.slice(end - length, end)
        })
      } finally {
        freeLanes.push(lane)
      }
    },
  })

  return {
    write: (events) => (events.length === 0 ? Promise.resolve([]) : batcher.add(events)),
    async writeAlone(event) {
      const [result] = await writeOrHalve(store, [event], writers)
      return result ?? { outcome: 'retry', error: { code: 'internal', message: 'The store gave no answer.' } }
    },
    drain: () => batcher.drain(),
  }
}

/**
 * Failures of the whole statement rather than of a row in it: halving would only repeat them.
 * 57014 timeout, 40001 serialization, 40P01 deadlock.
 */
const STATEMENT_FAILURES = new Set(['57014', '40001', '40P01'])

/**
 * 42: PostgreSQL does not know or not allow what the statement names. The statement is always the same, so a migration
 * or a grant is missing, whatever the events are: they wait, as for a store that is away.
 */
const isUnpreparedStore = (code: string) => /^42[0-9A-Z]{3}$/.test(code)

async function writeOrHalve(store: Store, events: StatusEvent[], lane: number): Promise<WriteResult[]> {
  try {
    return (await store(events, lane)).map(toResult)
  } catch (cause) {
    const code = sqlState(cause) ?? (cause instanceof Error ? cause.name : 'unknown')
    const error = { code, message: errorMessage(cause) }
    const failure = classifyFailure(cause)
    if (failure === 'outage' || isUnpreparedStore(code))
      return events.map(() => ({ outcome: 'outage', error }))
    if (events.length > 1 && !STATEMENT_FAILURES.has(code)) return writeHalves(store, events, lane)
    if (failure === 'transient') return events.map(() => ({ outcome: 'retry', error }))
    // A foreign key that fails means that the user was erased between the check and the insert.
    const reason = code === '23503' ? 'unknown_user' : 'invalid_event'
    return events.map(() => ({ outcome: 'dead', reason, error }))
  }
}

async function writeHalves(store: Store, events: StatusEvent[], lane: number): Promise<WriteResult[]> {
  const middle = Math.ceil(events.length / 2)
  const first = await writeOrHalve(store, events.slice(0, middle), lane)
  // The store went away in the middle: the rest would only find out again.
  const away = first.find((result) => result.outcome === 'outage')
  if (away) return [...first, ...events.slice(middle).map(() => away)]
  return [...first, ...(await writeOrHalve(store, events.slice(middle), lane))]
}

function toResult(outcome: StoreOutcome): WriteResult {
  if (outcome === 'stored' || outcome === 'duplicate') return { outcome }
  return { outcome: 'dead', reason: outcome, error: DEAD_LETTER_ERRORS[outcome] }
}
