import type { EventReference, StoredContent } from '@tidings/db/events/stored-content'
import {
  type DeadLetterEntry,
  isStored,
  MAX_BATCH,
  SCAN_PAGE,
  toReference,
} from '@tidings/queue/dead-letters/entry'
import { scanDeadLetters } from '@tidings/queue/dead-letters/scan'
import type { DeadLetterStore } from '@tidings/queue/dead-letters/store'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'

export interface ReconcilerOptions {
  openStore(): Promise<Pick<DeadLetterStore, 'parts' | 'away' | 'discard' | 'close'>>
  findStored(events: readonly EventReference[]): Promise<StoredContent>
  /** Events stored so far by all processes. While it does not change, no walk is needed. */
  countStored(): Promise<number>
  /** Called after each batch, with the number of dead letters removed. */
  onRemoved(deadLetters: number): void
  log: Logger
  /** Time between two walks, in milliseconds. */
  walkIntervalMs?: number
  /** Time from a failed walk to the next one, in milliseconds. */
  retryIntervalMs?: number
}

const WALK_INTERVAL_MS = 10 * 60_000
const RETRY_INTERVAL_MS = 60_000

/**
 * Removes the dead letters of events that are stored: events that were sent again after they were dead-lettered. It
 * walks through all dead letters when the worker starts, and every ten minutes while events are being stored. Until
 * the next walk such an event is both a row and a dead letter, and redriving it is harmless.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions
  #storedAtLastWalk: number | undefined
  #nextWalkAt = 0
  #walking: Promise<void> | undefined
  #closed = false

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  /** Starts a walk if one is due and none is running. Cheap to call often; never throws. */
  walkIfDue(): void {
    if (this.#closed || this.#walking || performance.now() < this.#nextWalkAt) return
    const { log, walkIntervalMs = WALK_INTERVAL_MS, retryIntervalMs = RETRY_INTERVAL_MS } = this.#options
    this.#walking = this.#walk()
      .then(
        () => walkIntervalMs,
        (error: unknown) => {
          log.debug({ error: errorMessage(error) }, 'walk through the dead letters failed')
          return retryIntervalMs
        },
      )
      .then((waitMs) => {
        this.#nextWalkAt = performance.now() + waitMs
        this.#walking = undefined
      })
  }

  /** Stops a running walk after its current page. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#walking
  }

  async #walk(): Promise<void> {
    const stored = await this.#options.countStored()
    if (stored === this.#storedAtLastWalk) return
    const store = await this.#options.openStore()
    try {
      for await (const page of scanDeadLetters(store, { pageSize: SCAN_PAGE })) {
        if (this.#closed) return
        await this.#removeStored(
          store,
          page.map(({ entry }) => entry),
        )
      }
      if (store.away.length === 0) this.#storedAtLastWalk = stored
    } finally {
      await store.close()
    }
  }

  async #removeStored(
    store: Pick<DeadLetterStore, 'discard'>,
    entries: readonly DeadLetterEntry[],
  ): Promise<void> {
    const { findStored, onRemoved, log } = this.#options
    const rows = await findStored(entries.map(toReference))
    const removable = entries.filter((entry) => isStored(entry, rows))
    for (let from = 0; from < removable.length; from += MAX_BATCH) {
      const removed = await store.discard(removable.slice(from, from + MAX_BATCH))
      if (removed.length === 0) continue
      onRemoved(removed.length)
      log.info({ deadLetters: removed.length }, 'dead letters removed: their events are stored')
    }
  }
}
