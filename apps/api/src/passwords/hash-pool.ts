import { Worker } from 'node:worker_threads'
import { AppError } from '@tidings/shared/errors'
import type { HashTask } from './hash-worker.ts'

/** Derives keys off the event loop. */
export interface HashPool {
  /** @throws AppError `overloaded` when no thread came free in time. */
  derive(task: HashTask): Promise<Buffer>
  /** Derivations running and waiting. */
  readonly pending: number
  close(): Promise<void>
}

export interface HashPoolOptions {
  /** Derivations at once. Each takes a core for as long as it runs. */
  threads: number
  /** How long a derivation may wait for a thread, in milliseconds. */
  maxWaitMs?: number
  /** Derivations that may wait; more are refused at once. */
  maxWaiting?: number
}

interface Waiting {
  task: HashTask
  resolve(digest: Buffer): void
  reject(error: Error): void
  timer: NodeJS.Timeout
}

interface Slot {
  worker: Worker
  current: Waiting | undefined
}

const DEFAULT_MAX_WAIT_MS = 5_000
const DEFAULT_MAX_WAITING = 1_000

/**
 * Threads of its own, not libuv's four: those also verify signatures and resolve names, which must not queue
 * behind a password. Threads start with the first derivation.
 */
export function createHashPool(options: HashPoolOptions): HashPool {
  const { threads, maxWaitMs = DEFAULT_MAX_WAIT_MS, maxWaiting = DEFAULT_MAX_WAITING } = options
  const slots: Slot[] = []
  const queue: Waiting[] = []
  let closed = false

  function startSlot(): Slot {
    const worker = new Worker(new URL('./hash-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 },
    })
    const slot: Slot = { worker, current: undefined }
    worker.on('message', (digest: Uint8Array) =>
      finish(slot, (waiting) => waiting.resolve(Buffer.from(digest))),
    )
    // A thread that dies takes one derivation with it, not the pool.
    const replace = (error: Error) => {
      if (closed || !slots.includes(slot)) return
      slots.splice(slots.indexOf(slot), 1)
      finish(slot, (waiting) => waiting.reject(error))
    }
    worker.on('error', replace)
    worker.on('exit', () => replace(new Error('A hashing thread ended')))
    worker.unref()
    slots.push(slot)
    return slot
  }

  function finish(slot: Slot, settle: (waiting: Waiting) => void) {
    const { current } = slot
    slot.current = undefined
    slot.worker.unref()
    if (current !== undefined) settle(current)
    next()
  }

  function next() {
    while (queue.length > 0 && !closed) {
      const slot =
        slots.find(({ current }) => current === undefined) ??
        (slots.length < threads ? startSlot() : undefined)
      if (slot === undefined) return
      const waiting = queue.shift() as Waiting
      clearTimeout(waiting.timer)
      slot.current = waiting
      // Only a running derivation keeps the process alive.
      slot.worker.ref()
      slot.worker.postMessage(waiting.task)
    }
  }

  function giveUp(waiting: Waiting) {
    const index = queue.indexOf(waiting)
    if (index === -1) return
    queue.splice(index, 1)
    waiting.reject(overloaded())
  }

  return {
    derive(task) {
      if (closed || queue.length >= maxWaiting) return Promise.reject(overloaded())
      return new Promise((resolve, reject) => {
        const waiting: Waiting = {
          task,
          resolve,
          reject,
          timer: setTimeout(() => giveUp(waiting), maxWaitMs),
        }
        queue.push(waiting)
        next()
      })
    },
    get pending() {
      return queue.length + slots.filter(({ current }) => current !== undefined).length
    },
    async close() {
      closed = true
      for (const waiting of queue.splice(0)) {
        clearTimeout(waiting.timer)
        waiting.reject(overloaded())
      }
      await Promise.all(slots.map(({ worker }) => worker.terminate()))
      for (const { current } of slots) current?.reject(overloaded())
    },
  }
}

const overloaded = () =>
  new AppError('overloaded', 'Too many logins at once. Try again shortly.', { retryAfterSeconds: 2 })
