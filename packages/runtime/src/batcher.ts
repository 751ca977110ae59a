/** Gathers single items into batches, so that many callers share one round trip. */
export interface Batcher<Item, Result> {
  /** Resolves or rejects with what `flush` decided for this item. */
  add(item: Item): Promise<Result>
  /** Items waiting or being flushed. */
  readonly pending: number
  /** Resolves when everything added so far is decided. */
  drain(): Promise<void>
}

export interface BatcherOptions<Item, Result> {
  /** Largest batch, in items, or in what `sizeOf` counts. An item that is larger makes a batch by itself. */
  maxSize: number
  /** Size of an item; 1 when absent. */
  sizeOf?(item: Item): number
  /** Whether so many items need not wait for more. Asked whenever one comes or a batch ends. */
  flushEarly?(items: number): boolean
  /** How long the first item of a batch waits for company, in milliseconds; 0 is the end of this turn. */
  windowMs: number
  /** Batches on their way at once; more items wait and make the next batch larger. */
  maxInFlight: number
  /**
   * Items that are not decided so long after they came are rejected, in milliseconds. One that still waits is not
   * flushed then; what becomes of one on its way is not known.
   */
  deadline?: { ms: number; error(): Error }
  /** Decides a batch: one result per item, in order. A rejection rejects each item of the batch. */
  flush(items: Item[]): Promise<Result[]>
}

interface Waiting<Item, Result> {
  item: Item
  sinceMs: number
  isLate: boolean
  resolve(result: Result): void
  reject(error: unknown): void
}

export function createBatcher<Item, Result>(options: BatcherOptions<Item, Result>): Batcher<Item, Result> {
  let queue: Waiting<Item, Result>[] = []
  const inFlight = new Set<Waiting<Item, Result>[]>()
  let flushing = 0
  let size = 0
  let timer: NodeJS.Timeout | undefined
  let deadlineTimer: NodeJS.Timeout | undefined
  let idle: (() => void)[] = []
  const sizeOf = options.sizeOf ?? (() => 1)

  function schedule() {
    if (queue.length === 0 || inFlight.size >= options.maxInFlight) return
    if (size >= options.maxSize || options.flushEarly?.(queue.length)) flushNow()
    else timer ??= setTimeout(flushNow, options.windowMs)
  }

  /** The items of the next batch, from the front of the queue: at least one. */
  function takeBatch(): Waiting<Item, Result>[] {
    let taken = 0
    let batchSize = 0
    for (const { item } of queue) {
      batchSize += sizeOf(item)
      if (batchSize > options.maxSize && taken > 0) break
      taken++
      size -= sizeOf(item)
    }
    const batch = queue.slice(0, taken)
    queue = queue.slice(taken)
    return batch
  }

  function flushNow() {
    clearTimeout(timer)
    timer = undefined
    if (queue.length === 0 || inFlight.size >= options.maxInFlight) return
    const batch = takeBatch()
    inFlight.add(batch)
    flushing += batch.length
    void settle(batch).finally(() => {
      inFlight.delete(batch)
      flushing -= batch.length
      wakeIfIdle()
      schedule()
    })
    schedule()
  }

  function wakeIfIdle() {
    if (queue.length + flushing > 0) return
    for (const wake of idle) wake()
    idle = []
  }

  /** One timer for all, set for who came first: one for each item would show at 10,000 a second. */
  function watchDeadline() {
    const { deadline } = options
    if (deadline === undefined || deadlineTimer !== undefined) return
    const next = [...inFlight, queue].flatMap((items) => items.find(({ isLate }) => !isLate) ?? [])
    if (next.length === 0) return
    const dueMs = Math.min(...next.map(({ sinceMs }) => sinceMs)) + deadline.ms
    deadlineTimer = setTimeout(
      () => {
        deadlineTimer = undefined
        rejectLate(performance.now() - deadline.ms, deadline.error)
        watchDeadline()
      },
      Math.max(0, dueMs - performance.now()),
    )
  }

  /** Those that came before; of each batch they are the first ones. */
  function rejectLate(earliestMs: number, createError: () => Error) {
    for (const items of [...inFlight, queue]) {
      for (const waiting of items) {
        if (waiting.sinceMs > earliestMs) break
        // A batch that hangs holds its items for long.
        if (waiting.isLate) continue
        waiting.isLate = true
        waiting.reject(createError())
      }
    }
    for (const { item, isLate } of queue) if (isLate) size -= sizeOf(item)
    queue = queue.filter(({ isLate }) => !isLate)
    wakeIfIdle()
  }

  async function settle(batch: Waiting<Item, Result>[]) {
    try {
      const results = await options.flush(batch.map((waiting) => waiting.item))
      if (results.length !== batch.length) throw new Error('flush must give one result per item')
      batch.forEach((waiting, index) => {
        waiting.resolve(results[index] as Result)
      })
    } catch (error) {
      for (const waiting of batch) waiting.reject(error)
    }
  }

  return {
    add(item) {
      return new Promise<Result>((resolve, reject) => {
        queue.push({ item, sinceMs: performance.now(), isLate: false, resolve, reject })
        size += sizeOf(item)
        schedule()
        watchDeadline()
      })
    },
    get pending() {
      return queue.length + flushing
    },
    drain() {
      if (queue.length + flushing === 0) return Promise.resolve()
      return new Promise((resolve) => idle.push(resolve))
    },
  }
}
