import { setTimeout as delay } from 'node:timers/promises'
import { errorMessage } from '@tidings/shared/errors'
import type { AppProcess } from './app-process.ts'

/** After more restarts than this within the window, another restart is pointless. */
const MAX_RESTARTS = 5
const WINDOW_MS = 60_000
const RESTART_DELAY_MS = 500

export interface Supervised {
  /** The id of the current process. It changes with each restart. */
  readonly pid: number
  /** Stops the process and its supervision. */
  stop(): Promise<void>
}

export interface SuperviseOptions {
  spawn(): Promise<AppProcess>
  /** Reports a restart or a failed restart. */
  onNotice(text: string): void
  /** The process ends too often or cannot be spawned again. It stays down. */
  onGiveUp(name: string): void
}

/**
 * Starts a process and waits until it is ready. Restarts it when it ends without having been told to.
 *
 * @throws when the first process does not become ready.
 */
export async function supervise(options: SuperviseOptions, signal: AbortSignal): Promise<Supervised> {
  let isStopping = false
  let restarts: number[] = []
  let current = await options.spawn()

  const keepAlive = async () => {
    while (!isStopping) {
      const exit = await current.exited
      if (isStopping) return
      const now = performance.now()
      restarts = [...restarts.filter((at) => now - at < WINDOW_MS), now]
      if (restarts.length > MAX_RESTARTS) return options.onGiveUp(current.name)
      const cause = exit.signal ?? `code ${exit.code}`
      options.onNotice(`${current.name} ended unexpectedly (${cause}); restarting it`)
      await delay(RESTART_DELAY_MS)
      if (isStopping) return
      current = await options.spawn()
    }
  }

  try {
    await current.waitUntilReady({ signal })
  } catch (error) {
    await current.stop()
    throw error
  }
  const supervision = keepAlive().catch((error: unknown) => {
    options.onNotice(`${current.name} cannot be restarted (${errorMessage(error)})`)
    options.onGiveUp(current.name)
  })
  return {
    get pid() {
      return current.pid
    },
    async stop() {
      isStopping = true
      await current.stop()
      await supervision
      // The supervision may have spawned another process meanwhile.
      await current.stop()
    },
  }
}
