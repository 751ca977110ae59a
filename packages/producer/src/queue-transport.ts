import { openRedis, type RedisConnection } from '@tidings/queue/open-redis'
import { ENVELOPE_JOB, ENVELOPE_JOB_OPTIONS } from '@tidings/queue/policy'
import { keyPrefixOf, shardNames } from '@tidings/queue/queue-names'
import { ReadyQueues } from '@tidings/queue/ready-queues'
import { Batcher } from '@tidings/runtime/batcher'
import { Queue } from 'bullmq'
import { ProducerError } from './errors.ts'
import type { QueueSettings } from './options.ts'
import { MAX_BATCH_SIZE, sizeOfEvent } from './pack.ts'
import type { PreparedEvent } from './prepare-event.ts'
import { retry } from './retry.ts'
import type { Transport } from './transport.ts'

/** How long an event waits for others, in milliseconds. */
const WINDOW_MS = 2
const MAX_JOBS_IN_FLIGHT = 4
/** How long Redis may be away before events are given up, in milliseconds: longer than it takes to connect. */
const PATIENCE_MS = 600
const BACKOFF = { firstDelayMs: 50, maxDelayMs: 200 }

/** Puts envelopes onto the queue. It never waits long for Redis. */
export class QueueTransport implements Transport {
  readonly #options: QueueSettings
  readonly #redis: RedisConnection
  readonly #queues: ReadyQueues<readonly Queue[]>
  readonly #batcher: Batcher<PreparedEvent, undefined>
  readonly #closing = new AbortController()
  /** When the connection was lost, or first tried, by performance.now(). Undefined while there is one. */
  #awaySince: number | undefined = performance.now()
  #lastError: unknown
  #nextShard = 0

  constructor(options: QueueSettings) {
    this.#options = options
    const onError = (error: unknown) => {
      this.#lastError = error
    }
    const redis = openRedis(options, 'fail-fast', onError)
    redis.on('ready', () => {
      this.#awaySince = undefined
    })
    redis.on('close', () => {
      this.#awaySince ??= performance.now()
    })
    this.#redis = redis
    this.#queues = new ReadyQueues({
      redis,
      open: (version) =>
        shardNames(options.shards).map((name) =>
          new Queue(name, {
            connection: redis,
            prefix: keyPrefixOf({ ...options, kind: 'redis' }, name),
            defaultJobOptions: ENVELOPE_JOB_OPTIONS,
            ...version,
          }).on('error', onError),
        ),
      onError,
    })
    this.#batcher = new Batcher<PreparedEvent, undefined>({
      maxSize: MAX_BATCH_SIZE,
      sizeOf: sizeOfEvent,
      windowMs: WINDOW_MS,
      maxInFlight: MAX_JOBS_IN_FLIGHT,
      deadline: { ms: PATIENCE_MS, error: () => this.#unavailable(this.#lastError) },
      flush: (events) => this.#flush(events),
    })
  }

  send(event: PreparedEvent): Promise<void> {
    return this.#batcher.add(event)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#queues.close()
    this.#redis.disconnect()
  }

  async #flush(events: readonly PreparedEvent[]): Promise<undefined[]> {
    const { source } = this.#options
    const envelope = {
      v: 1,
      events: events.map(({ json, type }) => ({
        ...(JSON.parse(json) as object),
        notification_type: type,
        source,
      })),
    }
    // Once Redis has been away for longer than that, events fail at once.
    const deadlineAt = (this.#awaySince ?? performance.now()) + PATIENCE_MS
    await retry(() => this.#add(envelope), { ...BACKOFF, deadlineAt, signal: this.#closing.signal })
    return events.map(() => undefined)
  }

  async #add(envelope: object): Promise<void> {
    const queue = this.#queues.connected?.[this.#nextShard++ % this.#options.shards]
    if (queue === undefined) throw this.#unavailable(this.#lastError)
    try {
      await queue.add(ENVELOPE_JOB, envelope)
    } catch (cause) {
      throw this.#unavailable(cause)
    }
  }

  #unavailable(cause: unknown): ProducerError {
    return new ProducerError('unavailable', 'The queue did not confirm the event in time.', { cause })
  }
}
