import { withDeadline } from '@tidings/runtime/deadline'
import { errorOfEvent, ProducerError } from './errors.ts'
import { type PreparedEvent, prepareEvent, type Report } from './prepare-event.ts'
import type { Transport } from './transport.ts'

/** An event is durable. */
export interface Receipt {
  /** The `event_id` that it was sent with. */
  eventId: string
  /** The way that it went. */
  via: 'queue' | 'api'
}

export interface ReporterOptions {
  /** Most events on their way at once. */
  maxPending: number
  /** The preferred way. */
  queue: Promise<Transport> | undefined
  api: Transport | undefined
}

interface Call {
  reject(error: ProducerError): void
  settled: Promise<unknown>
}

/** Sends events one of two ways, and knows those that are on their way. */
export class Reporter {
  readonly #options: ReporterOptions
  readonly #calls = new Set<Call>()
  #closed: Promise<void> | undefined

  constructor(options: ReporterOptions) {
    this.#options = options
    // Each report says that the queue's client could not be loaded. Without a report nobody needs to know.
    options.queue?.catch(() => {})
  }

  async report(report: Report): Promise<Receipt> {
    const { maxPending } = this.#options
    if (this.#closed) throw new ProducerError('closed', 'The producer is closed.')
    if (this.#calls.size >= maxPending)
      throw new ProducerError('overloaded', `The producer already has ${maxPending} events on their way.`)
    const event = prepareEvent(report)
    return new Promise((resolve, reject) => {
      const rejectEvent = (error: unknown) => reject(errorOfEvent(error, event.eventId))
      const settled = this.#deliver(event)
        .then((via) => resolve({ eventId: event.eventId, via }), rejectEvent)
        .finally(() => this.#calls.delete(call))
      const call = { reject: rejectEvent, settled }
      this.#calls.add(call)
    })
  }

  /** Resolves when all events reported so far are durable or rejected. */
  async flush(): Promise<void> {
    await Promise.all([...this.#calls].map(({ settled }) => settled))
  }

  /** @param timeoutMs how long it waits for the events on their way. */
  close(timeoutMs: number): Promise<void> {
    this.#closed ??= this.#close(timeoutMs)
    return this.#closed
  }

  async #close(timeoutMs: number): Promise<void> {
    const late = new ProducerError('closed', 'The producer was closed before the event was confirmed.')
    await withDeadline(this.flush(), timeoutMs, () => late).catch(() => {
      for (const { reject } of this.#calls) reject(late)
    })
    const { queue, api } = this.#options
    await Promise.allSettled([api?.close(), queue?.then((transport) => transport.close())])
  }

  async #deliver(event: PreparedEvent): Promise<Receipt['via']> {
    const { queue, api } = this.#options
    try {
      const transport = await queue
      if (transport) {
        await transport.send(event)
        return 'queue'
      }
    } catch (error) {
      // The queue may have taken the event. It has the same identity over the API, so it is stored once.
      if (api === undefined) throw error
    }
    await api?.send(event)
    return 'api'
  }
}
