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
  maxItems: number
  /** How long the first item of a batch waits for company, in milliseconds; 0 is the end of this turn. */
  windowMs: number
  /** Batches on their way at once; more items wait and make the next batch larger. */
  maxInFlight: number
  /** Decides a batch: one result per item, in order. A rejection rejects each item of the batch. */
  flush(items: Item[]): Promise<Result[]>
}

interface Waiting<Item, Result> {
  item: Item
  resolve(result: Result): void
  reject(error: unknown): void
}

export function createBatcher<Item, Result>(options: BatcherOptions<Item, Result>): Batcher<Item, Result> {
  let queue: Waiting<Item, Result>[] = []
  let inFlight = 0
  let flushing = 0
  let timer: NodeJS.Timeout | undefined
  let idle: (() => void)[] = []

  function schedule() {
    if (queue.length === 0 || inFlight >= options.maxInFlight) return
    if (queue.length >= options.maxItems) flushNow()
    else timer ??= setTimeout(flushNow, options.windowMs)
  }

  function flushNow() {
    clearTimeout(timer)
    timer = undefined
    if (queue.length === 0 || inFlight >= options.maxInFlight) return
    const batch = queue.slice(0, options.maxItems)
    queue = queue.slice(options.maxItems)
    inFlight++
    flushing += batch.length
    void settle(batch).finally(() => {
      inFlight--
      flushing -= batch.length
      if (queue.length + flushing === 0) {
        for (const wake of idle) wake()
        idle = []
      }
      schedule()
    })
    schedule()
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
        queue.push({ item, resolve, reject })
        schedule()
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
