import { Worker } from 'node:worker_threads'
import { AppError } from '@tidings/shared/errors'
import type { BoardReply, BoardRequest, BoardThreadData } from './board-messages.ts'

interface Waiting {
  resolve(response: Response): void
  reject(error: Error): void
}

/** The body stays here, and so does the operator's key. */
const NOT_PASSED_ON = /^(content-|transfer-encoding$|authorization$)/

/** Enough for a page of the largest jobs. Beyond that the thread ends, and the API goes on. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 512 }

/**
 * Runs the board in a separate thread. A page of large jobs takes seconds to read, mask and write, and would block the
 * event loop that accepts events. The thread starts with the first request and takes about 60 MB.
 */
export class BoardThread {
  readonly #data: BoardThreadData
  readonly #onWarning: (message: string) => void
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #nextId = 0

  /** @param onWarning called when the connection to the queue's store fails. */
  constructor(data: BoardThreadData, onWarning: (message: string) => void) {
    this.#data = data
    this.#onWarning = onWarning
  }

  /**
   * Answers a request as the board does. Its body is not passed on.
   *
   * @throws AppError `unavailable` when the queue's store does not answer, or the thread ends.
   */
  fetch(request: Request, { readOnly }: { readOnly: boolean }): Promise<Response> {
    const id = this.#nextId++
    const { method, url } = request
    const headers = [...request.headers].filter(([name]) => !NOT_PASSED_ON.test(name))
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker ??= this.#start()
      this.#worker.postMessage({ id, method, url, headers, readOnly } satisfies BoardRequest)
    })
  }

  /** Ends the thread. Requests that wait are refused. */
  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(new URL('./board-worker.ts', import.meta.url), {
      workerData: this.#data,
      resourceLimits: RESOURCE_LIMITS,
    })
    worker.on('message', (reply: BoardReply) => this.#receive(reply))
    worker.on('error', (error: Error) => this.#onWarning(error.message))
    worker.on('exit', () => this.#refuseAll(worker))
    worker.unref()
    return worker
  }

  #receive(reply: BoardReply): void {
    if ('warning' in reply) {
      this.#onWarning(reply.warning)
      return
    }
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if ('failure' in reply) waiting?.reject(unavailable(reply.failure))
    else {
      const body = reply.body.byteLength === 0 ? null : reply.body
      waiting?.resolve(new Response(body, { status: reply.status, headers: reply.headers }))
    }
  }

  /** Everything that waits was sent to the thread that ended. */
  #refuseAll(worker: Worker): void {
    if (this.#worker === worker) this.#worker = undefined
    for (const { reject } of this.#waiting.values()) reject(unavailable('the thread of the board ended'))
    this.#waiting.clear()
  }
}

const unavailable = (internal: string) =>
  new AppError('unavailable', 'The queue refuses or does not answer. Try again shortly.', { internal })
