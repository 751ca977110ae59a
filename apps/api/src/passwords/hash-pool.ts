import { Worker } from 'node:worker_threads'
import { AppError } from '@tidings/shared/errors'
import type { HashTask } from './hash-worker.ts'

export interface HashPoolOptions {
  /** Derivations at once. Each one keeps a core busy. */
  threads: number
  /** How long a derivation may wait for a thread, in milliseconds. */
  maxWaitMs?: number
  /** Derivations that may wait; the pool refuses more at once. */
  maxWaiting?: number
}

interface Job {
  task: HashTask
  resolve(digest: Buffer): void
  reject(error: Error): void
  waitTimer: NodeJS.Timeout
}

interface Thread {
  worker: Worker
  running: Job | undefined
}

const DEFAULT_MAX_WAIT_MS = 5_000
const DEFAULT_MAX_WAITING = 1_000

/**
 * Derives keys in worker threads, off the event loop. libuv's four threads would not do: they also verify
 * signatures and resolve names, which must not queue behind a password. Threads start on demand.
 */
export class HashPool {
  readonly #maxThreads: number
  readonly #maxWaitMs: number
  readonly #maxWaiting: number
  readonly #threads: Thread[] = []
  readonly #waiting: Job[] = []
  #isClosed = false

  constructor(options: HashPoolOptions) {
    this.#maxThreads = options.threads
    this.#maxWaitMs = options.maxWaitMs ?? DEFAULT_MAX_WAIT_MS
    this.#maxWaiting = options.maxWaiting ?? DEFAULT_MAX_WAITING
  }

  /** @throws AppError `overloaded` when no thread becomes free in time. */
  derive(task: HashTask): Promise<Buffer> {
    if (this.#isClosed || this.#waiting.length >= this.#maxWaiting) return Promise.reject(overloaded())
    return new Promise((resolve, reject) => {
      const job: Job = {
        task,
        resolve,
        reject,
        waitTimer: setTimeout(() => this.#giveUp(job), this.#maxWaitMs),
      }
      this.#waiting.push(job)
      this.#runWaiting()
    })
  }

  /** Derivations running and waiting. */
  get pending(): number {
    return this.#waiting.length + this.#threads.filter(({ running }) => running !== undefined).length
  }

  /** Ends the threads. Running and waiting derivations are refused. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const job of this.#waiting.splice(0)) {
      clearTimeout(job.waitTimer)
      job.reject(overloaded())
    }
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
    for (const { running } of this.#threads) running?.reject(overloaded())
  }

  #runWaiting() {
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const thread = this.#findFreeThread()
      if (thread === undefined) return
      const job = this.#waiting.shift() as Job
      clearTimeout(job.waitTimer)
      thread.running = job
      // Only a running derivation keeps the process alive.
      thread.worker.ref()
      thread.worker.postMessage(job.task)
    }
  }

  #findFreeThread(): Thread | undefined {
    const free = this.#threads.find(({ running }) => running === undefined)
    return free ?? (this.#threads.length < this.#maxThreads ? this.#startThread() : undefined)
  }

  #startThread(): Thread {
    const worker = new Worker(new URL('./hash-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 },
    })
    const thread: Thread = { worker, running: undefined }
    worker.on('message', (digest: Uint8Array) =>
      this.#finish(thread, (job) => job.resolve(Buffer.from(digest))),
    )
    worker.on('error', (error: Error) => this.#removeThread(thread, error))
    worker.on('exit', () => this.#removeThread(thread, new Error('A hashing thread ended')))
    worker.unref()
    this.#threads.push(thread)
    return thread
  }

  /** A thread that fails rejects only the derivation it ran; a new thread takes its place. */
  #removeThread(thread: Thread, error: Error) {
    const index = this.#threads.indexOf(thread)
    if (this.#isClosed || index === -1) return
    this.#threads.splice(index, 1)
    this.#finish(thread, (job) => job.reject(error))
  }

  #finish(thread: Thread, settle: (job: Job) => void) {
    const { running } = thread
    thread.running = undefined
    thread.worker.unref()
    if (running !== undefined) settle(running)
    this.#runWaiting()
  }

  #giveUp(job: Job) {
    const index = this.#waiting.indexOf(job)
    if (index === -1) return
    this.#waiting.splice(index, 1)
    job.reject(overloaded())
  }
}

const overloaded = () =>
  new AppError('overloaded', 'Too many logins at once. Try again shortly.', { retryAfterSeconds: 2 })
