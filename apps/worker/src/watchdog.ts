import type { JobQueue } from '@tidings/queue/backend'
import type { Logger } from '@tidings/runtime/log'

export interface WatchdogOptions {
  queues: readonly JobQueue<unknown>[]
  /** True while the worker takes no jobs on purpose. */
  isPaused(): boolean
  /** Called at each look after the limit. Only a restart helps then. */
  onWedged(): void
  log: Logger
  /** How long jobs may wait while none runs, in milliseconds. */
  limitMs?: number
  /** Time between two looks at the queues, in milliseconds. */
  intervalMs?: number
}

/** Detects a worker that is alive but takes no jobs. @returns a function that stops the watchdog. */
export function startWatchdog(options: WatchdogOptions): () => void {
  const { queues, log, limitMs = 60_000, intervalMs = 5_000 } = options
  let stuckSince: number | undefined
  let isLooking = false

  async function look() {
    const waiting = await Promise.all(queues.map(countIfStuck))
    if (waiting.every((jobs) => jobs === 0) || options.isPaused()) {
      stuckSince = undefined
      return
    }
    stuckSince ??= Date.now()
    if (Date.now() - stuckSince < limitMs) return
    log.fatal({ waiting, limitMs }, 'jobs are waiting and the worker takes none')
    options.onWedged()
  }

  const timer = setInterval(() => {
    // The queue's store has not answered since the last look. An outage of the store is no fault of the worker.
    if (isLooking) {
      stuckSince = undefined
      return
    }
    isLooking = true
    look()
      .catch(() => {
        // The store is unreachable: no fault of the worker either.
        stuckSince = undefined
      })
      .finally(() => {
        isLooking = false
      })
  }, intervalMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** The number of waiting jobs; 0 while one is running, or while an operator has paused the queue. */
async function countIfStuck(queue: JobQueue<unknown>): Promise<number> {
  const { waiting = 0, active = 0 } = await queue.getJobCounts('waiting', 'active')
  if (waiting === 0 || active > 0 || (await queue.isPaused())) return 0
  return waiting
}
