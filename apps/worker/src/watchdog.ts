import type { JobQueue } from '@tidings/queue/backend'
import type { Logger } from '@tidings/shared/log'

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

  async function look() {
    const counts = await Promise.all(queues.map((queue) => queue.getJobCounts('waiting', 'active')))
    const stuck = counts.some(({ waiting = 0, active = 0 }) => waiting > 0 && active === 0)
    if (!stuck || options.isPaused()) {
      stuckSince = undefined
      return
    }
    stuckSince ??= Date.now()
    if (Date.now() - stuckSince < limitMs) return
    log.fatal({ counts, limitMs }, 'jobs wait and none is taken')
    options.onWedged()
  }

  const timer = setInterval(() => {
    look().catch(() => {
      // The store is away; that is not a wedged worker.
      stuckSince = undefined
    })
  }, intervalMs)
  timer.unref()
  return () => clearInterval(timer)
}
