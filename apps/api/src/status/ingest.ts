import type { Database } from '@tidings/db/database'
import { addToOutbox } from '@tidings/db/events/event-outbox'
import type { IngestCounters } from '@tidings/db/events/ingest-counters'
import { type StoreOutcome, storeStatusEvents } from '@tidings/db/events/status-events'
import { classifyFailure } from '@tidings/db/failure'
import type { Backpressure } from '@tidings/queue/backpressure'
import type { StatusPublisher } from '@tidings/queue/publisher'
import { createBatcher } from '@tidings/runtime/batcher'
import type { Logger } from '@tidings/runtime/log'
import { AppError, errorMessage } from '@tidings/shared/errors'
import { LIMITS, type StatusEvent } from '@tidings/shared/status-event'
import {
  BrokenCircuitError,
  ConsecutiveBreaker,
  circuitBreaker,
  handleAll,
  TimeoutStrategy,
  timeout,
  wrap,
} from 'cockatiel'
import { LRUCache } from 'lru-cache'
import { keyConflict } from './key-conflict.ts'

/** The way in: an event that is accepted here ends as exactly one row or one dead letter. */
export interface Ingest {
  /**
   * Resolves when the event is durable: in the queue, or in PostgreSQL while the queue is away.
   *
   * @throws AppError `overloaded` when the queue is full, `unavailable` when both stores are away,
   *   `conflict` when the idempotency key was just used with other content.
   */
  accept(event: StatusEvent): Promise<void>
  /** The same for 1..500 events, as one envelope; nothing is accepted in part. */
  acceptAll(events: readonly StatusEvent[]): Promise<void>
  /** Undefined when the event may be accepted, else the refusal. Compares with recent keys only. */
  findConflict(event: StatusEvent): AppError | undefined
  drain(): Promise<void>
}

export interface IngestOptions {
  publisher: Pick<StatusPublisher, 'publish'>
  backpressure: Pick<Backpressure, 'pressure'>
  /** A small pool of its own with short timeouts, for the time without a queue. */
  directDb: Database
  counters: Pick<IngestCounters, 'add'>
  log: Logger
  /** Told what became of events, for metrics. */
  onAccepted?(events: number, path: 'queue' | 'direct' | 'parked'): void
}

/** How long the first of concurrent requests waits for others to share its job, in milliseconds. */
const GATHER_WINDOW_MS = 1
/**
 * Envelopes on their way to the store at once, until their work is over, however late. While two are, the next one
 * grows: fewer and larger ones cost less.
 */
const MAX_ENVELOPES_IN_FLIGHT = 2
/** The store is asked again this long after it failed, in milliseconds. */
const HALF_OPEN_AFTER_MS = 500
/** Failures in a row after which the store is not asked any more. */
const FAILURES_TO_OPEN = 2
/** Every request is answered within a second: what is not stored by then is refused. */
const ANSWER_WITHIN_MS = 900
/** A queue that says nothing for so long has failed; time is left to store directly. */
const PUBLISH_WITHIN_MS = 600
const RECENT_KEYS = 50_000

export function createIngest(options: IngestOptions): Ingest {
  const { publisher, backpressure, directDb, counters, log, onAccepted } = options
  const recentKeys = new LRUCache<string, string>({ max: RECENT_KEYS })

  const breaker = circuitBreaker(handleAll, {
    halfOpenAfter: HALF_OPEN_AFTER_MS,
    breaker: new ConsecutiveBreaker(FAILURES_TO_OPEN),
  })
  breaker.onBreak(() => log.warn('queue is away: storing directly in PostgreSQL'))
  breaker.onReset(() => log.info('queue is back'))
  // Nobody listens for the abort, and to make an error for one after each envelope took 1 % of the process.
  const giveUp = timeout(PUBLISH_WITHIN_MS, { strategy: TimeoutStrategy.Aggressive, abortOnReturn: false })
  const publishing = wrap(breaker, giveUp)

  /** All of the events or none. */
  async function enqueue(events: readonly StatusEvent[]): Promise<void> {
    try {
      await publishing.execute(() => publisher.publish(events))
      onAccepted?.(events.length, 'queue')
    } catch (error) {
      if (!(error instanceof BrokenCircuitError)) log.debug({ error: errorMessage(error) }, 'publish failed')
      await storeDirectly(events)
    }
    counters.add({ accepted: events.length })
  }

  function findOverload(): AppError | undefined {
    const { pressure } = backpressure
    return pressure.shed ? overloaded(pressure.why) : undefined
  }

  /**
   * Before anything is awaited: two contents under one key may come at the same time. But not of what is refused for
   * overload: that may come again with other content.
   */
  function rememberKey(event: StatusEvent) {
    if (event.content_hash !== undefined) recentKeys.set(event.id, event.content_hash)
  }

  /** The same idempotent insert that the worker does. What it refuses is parked for the worker to judge. */
  async function storeDirectly(events: readonly StatusEvent[]): Promise<void> {
    try {
      const refused = await storeOrRefuse(events)
      if (refused.length > 0) await addToOutbox(directDb, refused, 'not storable while the queue was away')
      onAccepted?.(events.length - refused.length, 'direct')
      onAccepted?.(refused.length, 'parked')
    } catch (error) {
      throw new AppError('unavailable', 'The event could not be stored. Send it again.', {
        retryAfterSeconds: 2,
        internal: `queue and PostgreSQL failed: ${errorMessage(error)}`,
        cause: error,
      })
    }
  }

  async function storeOrRefuse(events: readonly StatusEvent[]): Promise<readonly StatusEvent[]> {
    try {
      const outcomes = await storeStatusEvents(directDb, events)
      const count = (wanted: StoreOutcome) => outcomes.filter((outcome) => outcome === wanted).length
      counters.add({ stored: count('stored'), duplicate: count('duplicate') })
      return events.filter((_, index) => outcomes[index] === 'unknown_user' || outcomes[index] === 'conflict')
    } catch (error) {
      if (classifyFailure(error) === 'outage') throw error
      return events
    }
  }

  const batcher = createBatcher<StatusEvent, void>({
    maxSize: LIMITS.envelopeEvents,
    windowMs: GATHER_WINDOW_MS,
    maxInFlight: MAX_ENVELOPES_IN_FLIGHT,
    deadline: { ms: ANSWER_WITHIN_MS, error: tooLate },
    async flush(events) {
      await enqueue(events)
      return events.map(() => undefined)
    },
  })

  return {
    accept(event) {
      const refusal = findOverload() ?? this.findConflict(event)
      if (refusal) return Promise.reject(refusal)
      rememberKey(event)
      return batcher.add(event)
    },
    acceptAll(events) {
      const overload = findOverload()
      if (overload) return Promise.reject(overload)
      for (const event of events) rememberKey(event)
      return withinDeadline(enqueue(events))
    },
    findConflict(event) {
      if (event.content_hash === undefined) return undefined
      const seen = recentKeys.get(event.id)
      return seen === undefined || seen === event.content_hash ? undefined : keyConflict()
    },
    drain: () => batcher.drain(),
  }
}

function overloaded(why: 'depth' | 'memory'): AppError {
  return new AppError('overloaded', 'Too much is waiting to be stored. Send the event again later.', {
    retryAfterSeconds: 5,
    internal: `queue is full by ${why}`,
  })
}

const tooLate = () =>
  new AppError('unavailable', 'The event could not be stored in time. Send it again.', {
    retryAfterSeconds: 2,
    internal: `no store answered within ${ANSWER_WITHIN_MS} ms`,
  })

/** The work goes on after the deadline; its events are in doubt, and storing them again is harmless. */
async function withinDeadline(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooLate()), ANSWER_WITHIN_MS)
  })
  try {
    await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}
