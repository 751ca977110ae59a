import type { PreparedEvent } from './prepare-event.ts'

/** A way to Tidings. */
export interface Transport {
  /**
   * Resolves when the event is durable.
   *
   * @throws ProducerError, possibly one that stands for a whole batch.
   */
  send(event: PreparedEvent): Promise<void>
  /** Gives up what is on its way, and closes the connections. */
  close(): Promise<void>
}
