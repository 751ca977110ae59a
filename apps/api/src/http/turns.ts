/** How long work may hold the event loop, in milliseconds. Other requests wait meanwhile. */
const SLICE_MS = 5

/**
 * Divides long work among the turns of the event loop. One slice of all long work runs in a turn: with setImmediate
 * alone, a slice of each would.
 */
export class Turns {
  readonly #now: () => number
  readonly #waiting: (() => void)[] = []
  #isScheduled = false

  /** @param now the clock, in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Starts one piece of long work. Call the returned function between its steps, and wait for what it returns. */
  start(): () => Promise<void> | undefined {
    let sliceStartedMs = this.#now()
    return () => {
      if (this.#now() - sliceStartedMs < SLICE_MS) return undefined
      return this.#nextTurn().then(() => {
        sliceStartedMs = this.#now()
      })
    }
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#waiting.shift()?.()
      this.#schedule()
    })
  }
}
