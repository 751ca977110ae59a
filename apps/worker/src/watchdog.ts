import type { JobQueue } from '@tidings/queue/backend'
import type { Logger } from '@tidings/runtime/log'

export interface WatchdogOptions {
  queues: readonly JobQueue<unknown>[]
  /** Not taking jobs on purpose. */
  isPaused(): boolean
  onWedged(): void
  log: Logger
  /** Jobs wait and none runs for this long: something is stuck that only a restart frees. */
  limitMs?: number
  intervalMs?: number
}

/** Watches for a worker that is alive and does nothing. @returns how to stop watching. */
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
    log.fatal({ waiting, limitMs }, 'jobs wait and none is taken')
    options.onWedged()
  }

  const timer = setInterval(() => {
    // The store is away, or still silent since the last look: that is no wedged worker.
    if (isLooking) {
      stuckSince = undefined
      return
    }
    isLooking = true
    look()
      .catch(() => {
        stuckSince = undefined
      })
      .finally(() => {
        isLooking = false
      })
  }, intervalMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** Jobs that wait in a queue from which none is taken and some should be: an operator may have paused it. */
async function countIfStuck(queue: JobQueue<unknown>): Promise<number> {
  const { waiting = 0, active = 0 } = await queue.getJobCounts('waiting', 'active')
  if (waiting === 0 || active > 0 || (await queue.isPaused())) return 0
  return waiting
}
