import type { Database } from '@tidings/db/database'
import { CountGroups } from '@tidings/db/events/count-groups'
import { addToOutbox } from '@tidings/db/events/event-outbox'
import type { IngestCounters } from '@tidings/db/events/ingest-counters'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { classifyFailure } from '@tidings/db/failure'
import type { Backpressure } from '@tidings/queue/backpressure'
import { QueueUnavailableError, type StatusPublisher } from '@tidings/queue/publisher'
import { Batcher } from '@tidings/runtime/batcher'
import { withDeadline } from '@tidings/runtime/deadline'
import type { Logger } from '@tidings/runtime/log'
import { AppError, errorMessage } from '@tidings/shared/errors'
import { type AcceptedItem, isStatusEvent, LIMITS, type StatusEvent } from '@tidings/shared/status-event'
import {
  BrokenCircuitError,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
  type IPolicy,
  TimeoutStrategy,
  timeout,
  wrap,
} from 'cockatiel'
import { LRUCache } from 'lru-cache'
import { keyConflict } from './validate-batch.ts'

/** Accepts events. Each accepted item becomes one row or one dead letter. */
export interface Ingest {
  /**
   * Resolves when the event is durable: in the queue, or in PostgreSQL while the queue is away.
   *
   * @param spentMs how much of the time for the answer the request has used already, in milliseconds.
   * @throws AppError `overloaded` when the queue is full, `unavailable` when neither store took the event in time,
   *   `conflict` when the idempotency key was just used with other content.
   */
  accept(event: StatusEvent, spentMs?: number): Promise<void>
  /**
   * The same for 1..500 items in one envelope: accepts all or refuses all. A refused batch may be stored in part, and
   * the caller may repeat it. It does not look for conflicts.
   */
  acceptAll(items: readonly AcceptedItem[], spentMs?: number): Promise<void>
  /** Returns the refusal when a recent event has this idempotency key and other content. */
  findConflict(event: StatusEvent): AppError | undefined
  drain(): Promise<void>
}

export interface IngestOptions {
  publisher: Pick<StatusPublisher, 'publish'>
  backpressure: Pick<Backpressure, 'pressure'>
  /** A small pool with short timeouts, used only while the queue is away. */
  directDb: Database
  /** See digestRecipient. */
  recipientKey: string
  counters: Pick<IngestCounters, 'add'>
  log: Logger
  /** Counts accepted events for metrics. */
  onAccepted?(events: number, path: 'queue' | 'direct' | 'parked'): void
}

/** The first request waits this long for other requests to join its envelope, in milliseconds. */
const GATHER_WINDOW_MS = 1
/**
 * The batcher sends at most this many envelopes at once, including those whose requests were already refused.
 * Meanwhile the next envelope collects more events: fewer, larger envelopes cost less.
 */
const MAX_ENVELOPES_IN_FLIGHT = 2
/** How long the open circuit breaker waits before it tries the queue again, in milliseconds. */
const HALF_OPEN_AFTER_MS = 500
/** Failures in a row that open the circuit breaker. */
const FAILURES_TO_OPEN = 2
/**
 * The API answers after this time, in milliseconds. An event that is not durable yet gets `unavailable`, and may
 * still be stored.
 */
const ANSWER_WITHIN_MS = 900
/** A request that has spent less keeps the deadline that all share: its own timer is measurable at 10,000 events/s. */
const NOTICEABLE_MS = 50
/** How long the queue may take to confirm. The rest of ANSWER_WITHIN_MS is for storing directly. */
const PUBLISH_WITHIN_MS = 600
const RECENT_KEYS = 50_000

/** Publishes events to the queue, and stores them directly in PostgreSQL while the queue fails. */
export class QueueIngest implements Ingest {
  readonly #options: IngestOptions
  readonly #publishPolicy: IPolicy
  readonly #countGroups = new CountGroups()
  #isQueueAway = false
  readonly #recentKeys = new LRUCache<string, string>({ max: RECENT_KEYS })
  readonly #batcher = new Batcher<AcceptedItem, void>({
    maxSize: LIMITS.envelopeEvents,
    windowMs: GATHER_WINDOW_MS,
    maxInFlight: MAX_ENVELOPES_IN_FLIGHT,
    deadline: { ms: ANSWER_WITHIN_MS, error: tooLate },
    flush: async (items) => {
      await this.#makeDurable(items)
      return items.map(() => undefined)
    },
  })

  constructor(options: IngestOptions) {
    this.#options = options
    this.#publishPolicy = createPublishPolicy(() => this.#noteQueue(true))
  }

  accept(event: StatusEvent, spentMs = 0): Promise<void> {
    const refusal = this.#findOverload() ?? this.findConflict(event)
    if (refusal) return Promise.reject(refusal)
    this.#rememberKey(event)
    const added = this.#batcher.add(event)
    return spentMs < NOTICEABLE_MS ? added : withDeadline(added, ANSWER_WITHIN_MS - spentMs, tooLate)
  }

  acceptAll(items: readonly AcceptedItem[], spentMs = 0): Promise<void> {
    const overload = this.#findOverload()
    if (overload) return Promise.reject(overload)
    for (const item of items) if (isStatusEvent(item)) this.#rememberKey(item)
    return withDeadline(this.#makeDurable(items), ANSWER_WITHIN_MS - spentMs, tooLate)
  }

  findConflict(event: StatusEvent): AppError | undefined {
    if (event.content_hash === undefined) return undefined
    const seen = this.#recentKeys.get(event.id)
    return seen === undefined || seen === event.content_hash ? undefined : keyConflict()
  }

  drain(): Promise<void> {
    return this.#batcher.drain()
  }

  #findOverload(): AppError | undefined {
    const { pressure } = this.#options.backpressure
    return pressure.shed ? overloaded(pressure.why) : undefined
  }

  /**
   * Call it after the overload check, because the producer may resend a refused event with other content. Call it
   * before any await, because two contents with one key may arrive together.
   */
  #rememberKey(event: StatusEvent): void {
    if (event.content_hash !== undefined) this.#recentKeys.set(event.id, event.content_hash)
  }

  /**
   * Publishes the items, or stores them directly when that fails. Resolves when every item is durable.
   *
   * @throws AppError `unavailable` when both fail. Some of the events may be stored then.
   */
  async #makeDurable(items: readonly AcceptedItem[]): Promise<void> {
    const { publisher, counters, log, onAccepted } = this.#options
    try {
      await this.#publishPolicy.execute(() => publisher.publish(items))
      this.#noteQueue(false)
      onAccepted?.(items.length, 'queue')
    } catch (error) {
      if (error instanceof QueueUnavailableError) this.#noteQueue(true)
      else if (!(error instanceof BrokenCircuitError))
        log.debug({ error: errorMessage(error) }, 'publish failed')
      await this.#storeDirectly(items)
    }
    counters.add({ accepted: items.length })
  }

  #noteQueue(isAway: boolean): void {
    if (isAway === this.#isQueueAway) return
    this.#isQueueAway = isAway
    const { log } = this.#options
    if (isAway) log.warn('queue is away: storing directly in PostgreSQL')
    else log.info('queue is back')
  }

  /**
   * Stores with the worker's idempotent insert. Events that PostgreSQL refuses go to the outbox, and so do items that
   * name no notification; the worker later moves them to the queue.
   */
  async #storeDirectly(items: readonly AcceptedItem[]): Promise<void> {
    const { directDb, onAccepted } = this.#options
    const others = items.filter((item) => !isStatusEvent(item))
    try {
      const parked = [...(await this.#storeOrRefuse(items.filter(isStatusEvent))), ...others]
      if (parked.length > 0) await addToOutbox(directDb, parked, 'not storable while the queue was away')
      onAccepted?.(items.length - parked.length, 'direct')
      onAccepted?.(parked.length, 'parked')
    } catch (error) {
      throw bothStoresFailed(error)
    }
  }

  /** @returns the events that PostgreSQL refuses; all of them when it refuses the statement. */
  async #storeOrRefuse(events: readonly StatusEvent[]): Promise<readonly StatusEvent[]> {
    const { directDb, counters, recipientKey } = this.#options
    try {
      const outcomes = await storeStatusEvents(directDb, events, {
        recipientKey,
        countGroups: this.#countGroups,
      })
      counters.add({ duplicate: outcomes.filter((outcome) => outcome === 'duplicate').length })
      return events.filter((_, index) => outcomes[index] !== 'stored' && outcomes[index] !== 'duplicate')
    } catch (error) {
      if (classifyFailure(error) === 'outage') throw error
      return events
    }
  }
}

/**
 * After FAILURES_TO_OPEN failures in a row the API skips the queue for HALF_OPEN_AFTER_MS. A publisher that is not
 * connected fails at once, so it needs no such pause: the queue is used from the moment it is connected.
 */
function createPublishPolicy(onBreak: () => void): IPolicy {
  const breaker = circuitBreaker(
    handleWhen((error) => !(error instanceof QueueUnavailableError)),
    {
      halfOpenAfter: HALF_OPEN_AFTER_MS,
      breaker: new ConsecutiveBreaker(FAILURES_TO_OPEN),
    },
  )
  breaker.onBreak(onBreak)
  // Do not abort on return: no code listens, and creating the abort errors took 1 % of the processor time.
  const giveUp = timeout(PUBLISH_WITHIN_MS, { strategy: TimeoutStrategy.Aggressive, abortOnReturn: false })
  return wrap(breaker, giveUp)
}

const overloaded = (why: 'depth' | 'memory') =>
  new AppError('overloaded', 'Too much is waiting to be stored. Send the event again later.', {
    retryAfterSeconds: 5,
    internal: `queue is full by ${why}`,
  })

const tooLate = () =>
  new AppError('unavailable', 'The event could not be stored in time. Send it again.', {
    retryAfterSeconds: 2,
    internal: `no store answered within ${ANSWER_WITHIN_MS} ms`,
  })

const bothStoresFailed = (cause: unknown) =>
  new AppError('unavailable', 'The event could not be stored. Send it again.', {
    retryAfterSeconds: 2,
    internal: `queue and PostgreSQL failed: ${errorMessage(cause)}`,
    cause,
  })
