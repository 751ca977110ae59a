import type { ProducerError } from './errors.ts'
import { HttpTransport } from './http-transport.ts'
import { type ProducerOptions, type QueueSettings, readOptions } from './options.ts'
import type { Report } from './prepare-event.ts'
import { type Receipt, Reporter } from './reporter.ts'
import type { Transport } from './transport.ts'

export { ProducerError, type ProducerErrorCode } from './errors.ts'
export type { ApiOptions, ProducerOptions, QueueOptions } from './options.ts'
export type { Report } from './prepare-event.ts'
export type { Receipt } from './reporter.ts'

/** What became of one event of reportMany. */
export type ReportResult = ({ accepted: true } & Receipt) | { accepted: false; error: ProducerError }

export interface Producer {
  /**
   * Reports one event. Resolves when it is durable: it then becomes one row or one dead letter.
   *
   * @throws ProducerError
   */
  report(event: Report): Promise<Receipt>
  /** Reports many events. The results are in their order; an event that fails affects no other. */
  reportMany(events: readonly Report[]): Promise<ReportResult[]>
  /** Resolves when all events given so far are durable or rejected. */
  flush(): Promise<void>
  /**
   * Takes no more events, waits for those on their way, rejects what is left as `closed`, and closes the connections.
   *
   * @param options.timeoutMs how long it waits, in milliseconds; 5,000 when absent.
   */
  close(options?: { timeoutMs?: number }): Promise<void>
}

/**
 * Creates a producer. It connects in the background. An open connection to Redis keeps the process running until the
 * producer is closed.
 *
 * @throws ProducerError `invalid_options`
 */
export function createProducer(options: ProducerOptions): Producer {
  const { api, queue, maxPending } = readOptions(options)
  const reporter = new Reporter({
    maxPending,
    queue: queue && openQueueTransport(queue),
    api: api && new HttpTransport(api),
  })
  const tryReport = (event: Report): Promise<ReportResult> =>
    reporter.report(event).then(
      (receipt) => ({ accepted: true, ...receipt }),
      (error: ProducerError) => ({ accepted: false, error }),
    )
  return {
    report: (event) => reporter.report(event),
    reportMany: (events) => Promise.all(events.map(tryReport)),
    flush: () => reporter.flush(),
    close: ({ timeoutMs = 5_000 } = {}) => reporter.close(timeoutMs),
  }
}

/** Loads BullMQ only where there is a queue: it takes a quarter of a second. */
async function openQueueTransport(settings: QueueSettings): Promise<Transport> {
  const { QueueTransport } = await import('./queue-transport.ts')
  return new QueueTransport(settings)
}
