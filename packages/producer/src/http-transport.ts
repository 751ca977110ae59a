import { Batcher } from '@tidings/runtime/batcher'
import { NOTIFICATION_TYPES, type NotificationType } from '@tidings/shared/status-event'
import { ProducerError } from './errors.ts'
import type { ApiSettings } from './options.ts'
import { MAX_BATCH_SIZE, sizeOfEvent } from './pack.ts'
import type { PreparedEvent } from './prepare-event.ts'
import { type EventResult, readResults } from './read-results.ts'
import { readRetryAfter, retry } from './retry.ts'
import type { Transport } from './transport.ts'

interface Waiting extends PreparedEvent {
  /** By performance.now(). */
  deadlineAt: number
}

/** How long an event waits for others, in milliseconds. */
const WINDOW_MS = 5
const BACKOFF = { firstDelayMs: 100, maxDelayMs: 2_000 }

const late = () => new ProducerError('unavailable', 'The API did not confirm the event in time.')

/** Sends events to the batch routes of the API: one request at a time for each type. */
export class HttpTransport implements Transport {
  readonly #options: ApiSettings
  readonly #batchers: Record<NotificationType, Batcher<Waiting, EventResult>>
  readonly #closing = new AbortController()
  readonly #requests = new Set<AbortController>()
  /** The API asked for no request before this time, by performance.now(). */
  #pausedUntil = 0

  constructor(options: ApiSettings) {
    this.#options = options
    const createBatcher = (type: NotificationType) =>
      new Batcher<Waiting, EventResult>({
        maxSize: MAX_BATCH_SIZE,
        sizeOf: sizeOfEvent,
        windowMs: WINDOW_MS,
        maxInFlight: 1,
        deadline: { ms: options.deadlineMs, error: late },
        flush: (events) => this.#flush(type, events),
      })
    const batchers = NOTIFICATION_TYPES.map((type) => [type, createBatcher(type)] as const)
    this.#batchers = Object.fromEntries(batchers) as Record<NotificationType, Batcher<Waiting, EventResult>>
  }

  async send(event: PreparedEvent): Promise<void> {
    const deadlineAt = performance.now() + this.#options.deadlineMs
    const result = await this.#batchers[event.type].add({ ...event, deadlineAt })
    if (result !== 'accepted') throw result
  }

  close(): Promise<void> {
    this.#closing.abort()
    for (const request of this.#requests) request.abort()
    return Promise.resolve()
  }

  /** Sends a batch until the API answers for each event. An event whose time is over is left out of further attempts. */
  #flush(type: NotificationType, events: Waiting[]): Promise<EventResult[]> {
    const attempt = async () => {
      const due = events.filter(({ deadlineAt }) => performance.now() < deadlineAt)
      if (due.length === 0) throw late()
      const results = await this.#post(type, due)
      const byEvent = new Map(due.map((event, index) => [event, results[index]]))
      return events.map((event) => byEvent.get(event) ?? late())
    }
    // Events are in order of arrival.
    const deadlineAt = events.at(-1)?.deadlineAt ?? 0
    return retry(attempt, { ...BACKOFF, deadlineAt, signal: this.#closing.signal })
  }

  async #post(type: NotificationType, events: readonly PreparedEvent[]): Promise<EventResult[]> {
    const pauseMs = this.#pausedUntil - performance.now()
    if (pauseMs > 0)
      throw new ProducerError('unavailable', 'The API asked to wait.', { retryAfterMs: pauseMs })
    const { url, key } = this.#options
    const { status, retryAfter, text } = await this.#request(
      `${url.replace(/\/+$/, '')}/api/v1/${type}/status/batch/`,
      {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: `{"events":[${events.map(({ json }) => json).join(',')}]}`,
        // A redirect would drop the body.
        redirect: 'manual',
      },
    )
    if (status === 202) return readResults(text, events.length)
    const message = describeAnswer(type, status)
    if (status === 401 || status === 403) throw new ProducerError('unauthorized', message)
    if (status < 500 && status !== 429 && status !== 408) throw new ProducerError('refused', message)
    const retryAfterMs = readRetryAfter(retryAfter)
    // Not for longer than an event is tried: a proxy may name an hour, or a date by another clock, and the API be back.
    this.#pausedUntil = performance.now() + Math.min(retryAfterMs ?? 0, this.#options.deadlineMs)
    throw new ProducerError('unavailable', message, { retryAfterMs })
  }

  /** @throws ProducerError `unavailable` without an answer in time. The events may have arrived. */
  async #request(url: string, init: RequestInit) {
    if (this.#closing.signal.aborted) throw new ProducerError('unavailable', 'The producer is closed.')
    const request = new AbortController()
    this.#requests.add(request)
    const timer = setTimeout(() => request.abort(), this.#options.requestTimeoutMs)
    try {
      const response = await fetch(url, { ...init, signal: request.signal })
      const { status, headers } = response
      return { status, retryAfter: headers.get('retry-after'), text: await response.text() }
    } catch (cause) {
      throw new ProducerError('unavailable', 'The API did not answer.', { cause })
    } finally {
      clearTimeout(timer)
      this.#requests.delete(request)
    }
  }
}

/** Says what to do, where the producer does not try again. */
function describeAnswer(type: NotificationType, status: number): string {
  const answer = `The API answered ${status}`
  if (status === 401) return `${answer}. Is the service key right, and not revoked?`
  if (status === 403) return `${answer}. Does the service key have the scope status:write:${type}?`
  if (status < 400 || status === 404) return `${answer}. Is the URL the base URL of the API?`
  return `${answer}.`
}
