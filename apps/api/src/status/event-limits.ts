import { AppError } from '@tidings/shared/errors'
import { LRUCache } from 'lru-cache'
import type { ServicePrincipal } from '../http/principal.ts'

const MAX_KEYS = 10_000

interface Bucket {
  /** Events that may be reported now. Below 1: none. A batch may take more than there are. */
  tokens: number
  atMs: number
}

/**
 * Limits the events of each service key by a token bucket. Each process counts by itself: a request would otherwise
 * wait for Redis.
 */
export class EventLimits {
  readonly #buckets = new LRUCache<string, Bucket>({ max: MAX_KEYS })
  readonly #now: () => number

  /** @param now the clock, in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /**
   * Takes one event from the key's allowance. Call it before the body is read.
   *
   * @throws AppError `rate_limited` when nothing is left.
   */
  take(service: ServicePrincipal): void {
    const { limit } = service
    if (limit === undefined) return
    const nowMs = this.#now()
    const bucket = this.#buckets.get(service.id) ?? { tokens: limit.burst, atMs: nowMs }
    const earned = ((nowMs - bucket.atMs) / 1000) * limit.eventsPerSecond
    const tokens = Math.min(limit.burst, bucket.tokens + earned)
    const isAllowed = tokens >= 1
    this.#buckets.set(service.id, { tokens: isAllowed ? tokens - 1 : tokens, atMs: nowMs })
    if (isAllowed) return
    throw new AppError('rate_limited', 'This service key may not report so many events.', {
      retryAfterSeconds: (1 - tokens) / limit.eventsPerSecond,
    })
  }

  /**
   * Takes the other events of a batch, also when fewer are left: a batch that is larger than the allowance would
   * otherwise never be accepted. The requests after it wait.
   */
  takeMore(service: ServicePrincipal, events: number): void {
    const bucket = this.#buckets.get(service.id)
    if (service.limit !== undefined && bucket !== undefined) bucket.tokens -= events
  }
}
