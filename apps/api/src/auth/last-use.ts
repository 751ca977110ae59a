import type { Logger } from '@tidings/runtime/log'
import { describeError } from '../http/describe-error.ts'

const FLUSH_MS = 60_000

/** Stores when credentials were last used, once a minute for all of them. */
export class LastUse {
  readonly #usedIds = new Set<string>()
  readonly #touch: (ids: string[]) => Promise<void>
  readonly #log: Logger
  readonly #timer: NodeJS.Timeout

  /** @param touch stores the present time for these ids. */
  constructor(touch: (ids: string[]) => Promise<void>, log: Logger) {
    this.#touch = touch
    this.#log = log
    this.#timer = setInterval(() => void this.#flush(), FLUSH_MS)
    this.#timer.unref()
  }

  note(id: string): void {
    this.#usedIds.add(id)
  }

  /** Stores the remaining times and stops. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#flush()
  }

  async #flush() {
    if (this.#usedIds.size === 0) return
    const ids = [...this.#usedIds]
    this.#usedIds.clear()
    await this.#touch(ids).catch((error: unknown) =>
      this.#log.debug({ error: describeError(error) }, 'last use of credentials not stored'),
    )
  }
}
