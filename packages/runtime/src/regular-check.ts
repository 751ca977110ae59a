export interface RegularCheckOptions {
  /** Resolves when all is well. */
  check(): Promise<unknown>
  /** Time between two checks, in milliseconds. A check that takes longer delays the next one. */
  intervalMs: number
  /** A check that takes longer than this counts as failed until it ends, in milliseconds. */
  limitMs: number
  onFailure?(error: unknown): void
}

/** Checks at once, and regularly from then on. For health that must not wait for the next request or job. */
export class RegularCheck {
  readonly #options: RegularCheckOptions
  readonly #timer: NodeJS.Timeout
  #isOk = false
  #isRunning = false
  #isClosed = false

  constructor(options: RegularCheckOptions) {
    this.#options = options
    this.#timer = setInterval(() => void this.#run(), options.intervalMs)
    this.#timer.unref()
    void this.#run()
  }

  /** Whether the last check succeeded. False until the first one did. */
  get isOk(): boolean {
    return this.#isOk
  }

  /** Stops. A check that is running ends unnoticed. */
  close(): void {
    this.#isClosed = true
    clearInterval(this.#timer)
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    const late = setTimeout(() => {
      this.#isOk = false
    }, this.#options.limitMs)
    late.unref()
    try {
      await this.#options.check()
      this.#isOk = true
    } catch (error) {
      this.#isOk = false
      if (!this.#isClosed) this.#options.onFailure?.(error)
    } finally {
      clearTimeout(late)
      this.#isRunning = false
    }
  }
}
