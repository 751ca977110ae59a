export interface BatcherOptions<Item, Result> {
  /** Largest batch, in items, or in the unit of `sizeOf`. A single larger item makes a batch alone. */
  maxSize: number
  /** Size of an item; 1 when absent. */
  sizeOf?(item: Item): number
  /** Whether to flush this many waiting items at once. Asked whenever an item arrives or a batch ends. */
  flushEarly?(items: number): boolean
  /** How long the first item of a batch waits for others, in milliseconds; 0 is the end of this turn. */
  windowMs: number
  /** Most batches in flight. Further items wait, which makes the next batch larger. */
  maxInFlight: number
  /**
   * Rejects an item that is undecided this long after it arrived, in milliseconds. A waiting item is then never
   * flushed; the outcome of one in flight stays unknown.
   */
  deadline?: { ms: number; error(): Error }
  /** Decides a batch: one result per item, in order. A rejection rejects every item of the batch. */
  flush(items: Item[]): Promise<Result[]>
}

interface Waiting<Item, Result> {
  item: Item
  sinceMs: number
  isLate: boolean
  resolve(result: Result): void
  reject(error: unknown): void
}

/**
 * Gathers single items into batches, so that many callers share one round trip. Ingest adds 10,000 items a second:
 * an item costs one Promise and one Waiting, and no timer.
 */
export class Batcher<Item, Result> {
  readonly #options: BatcherOptions<Item, Result>
  readonly #sizeOf: (item: Item) => number
  #queue: Waiting<Item, Result>[] = []
  /** Size of the queue, in the unit of `maxSize`. */
  #queuedSize = 0
  readonly #inFlight = new Set<Waiting<Item, Result>[]>()
  #itemsInFlight = 0
  #flushTimer: NodeJS.Timeout | undefined
  #deadlineTimer: NodeJS.Timeout | undefined
  #idleListeners: (() => void)[] = []

  constructor(options: BatcherOptions<Item, Result>) {
    this.#options = options
    this.#sizeOf = options.sizeOf ?? (() => 1)
  }

  /** Resolves or rejects with the decision of `flush` for this item. */
  add(item: Item): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.#queue.push({ item, sinceMs: performance.now(), isLate: false, resolve, reject })
      this.#queuedSize += this.#sizeOf(item)
      this.#schedule()
      this.#watchDeadline()
    })
  }

  /** Items waiting or in flight. */
  get pending(): number {
    return this.#queue.length + this.#itemsInFlight
  }

  /** Resolves when everything added so far is decided. */
  drain(): Promise<void> {
    if (this.pending === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idleListeners.push(resolve))
  }

  #canFlush(): boolean {
    return this.#queue.length > 0 && this.#inFlight.size < this.#options.maxInFlight
  }

  #schedule(): void {
    if (!this.#canFlush()) return
    const { maxSize, flushEarly, windowMs } = this.#options
    if (this.#queuedSize >= maxSize || flushEarly?.(this.#queue.length)) this.#flushNow()
    else this.#flushTimer ??= setTimeout(this.#flushNow, windowMs)
  }

  /** An arrow function, so that a timer can call it without a new closure. */
  readonly #flushNow = (): void => {
    clearTimeout(this.#flushTimer)
    this.#flushTimer = undefined
    if (!this.#canFlush()) return
    const batch = this.#takeBatch()
    this.#inFlight.add(batch)
    this.#itemsInFlight += batch.length
    void this.#settle(batch).finally(() => {
      this.#inFlight.delete(batch)
      this.#itemsInFlight -= batch.length
      this.#wakeIfIdle()
      this.#schedule()
    })
    this.#schedule()
  }

  /** Takes the next batch from the front of the queue: at least one item. */
  #takeBatch(): Waiting<Item, Result>[] {
    let taken = 0
    let batchSize = 0
    for (const { item } of this.#queue) {
      batchSize += this.#sizeOf(item)
      if (batchSize > this.#options.maxSize && taken > 0) break
      taken++
      this.#queuedSize -= this.#sizeOf(item)
    }
    const batch = this.#queue.slice(0, taken)
    this.#queue = this.#queue.slice(taken)
    return batch
  }

  async #settle(batch: Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#options.flush(batch.map((waiting) => waiting.item))
      if (results.length !== batch.length) throw new Error('flush must give one result per item')
      batch.forEach((waiting, index) => {
        waiting.resolve(results[index] as Result)
      })
    } catch (error) {
      for (const waiting of batch) waiting.reject(error)
    }
  }

  #wakeIfIdle(): void {
    if (this.pending > 0) return
    // A timer would keep the process running until the deadline.
    clearTimeout(this.#deadlineTimer)
    this.#deadlineTimer = undefined
    for (const wake of this.#idleListeners) wake()
    this.#idleListeners = []
  }

  /** One timer for all items, set for the oldest: a timer per item is measurable at 10,000 items/s. */
  #watchDeadline(): void {
    const { deadline } = this.#options
    if (deadline === undefined || this.#deadlineTimer !== undefined) return
    const oldest = [...this.#inFlight, this.#queue].flatMap(
      (items) => items.find(({ isLate }) => !isLate) ?? [],
    )
    if (oldest.length === 0) return
    const dueMs = Math.min(...oldest.map(({ sinceMs }) => sinceMs)) + deadline.ms
    this.#deadlineTimer = setTimeout(
      () => {
        this.#deadlineTimer = undefined
        this.#rejectLate(performance.now() - deadline.ms, deadline.error)
        this.#watchDeadline()
      },
      Math.max(0, dueMs - performance.now()),
    )
  }

  /** Rejects items that arrived at or before `latestMs`. Every list is in order of arrival. */
  #rejectLate(latestMs: number, createError: () => Error): void {
    for (const items of [...this.#inFlight, this.#queue]) {
      for (const waiting of items) {
        if (waiting.sinceMs > latestMs) break
        // A batch that hangs keeps its items, rejected ones included, until its flush ends.
        if (waiting.isLate) continue
        waiting.isLate = true
        waiting.reject(createError())
      }
    }
    for (const { item, isLate } of this.#queue) if (isLate) this.#queuedSize -= this.#sizeOf(item)
    this.#queue = this.#queue.filter(({ isLate }) => !isLate)
    this.#wakeIfIdle()
  }
}
