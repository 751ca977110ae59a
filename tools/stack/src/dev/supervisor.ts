import { setTimeout as delay } from 'node:timers/promises'
import { errorMessage } from '@tidings/shared/errors'
import type { AppProcess } from './app-process.ts'

/** More sudden deaths than this within the window, and starting again is pointless. */
const MAX_RESTARTS = 5
const WINDOW_MS = 60_000
const RESTART_DELAY_MS = 500

export interface Supervised {
  /** Of the process that runs now; another one after a restart. */
  readonly pid: number
  /** Stops the process, and the restarting of it. */
  stop(): Promise<void>
}

export interface SuperviseOptions {
  spawn(): Promise<AppProcess>
  /** Tells a person what happened. */
  say(text: string): void
  /** The process keeps dying, or cannot be started again; it stays down. */
  onGiveUp(name: string): void
}

/** Starts a process and waits until it is ready; starts it again when it dies without being told to. */
export async function supervise(options: SuperviseOptions, signal: AbortSignal): Promise<Supervised> {
  let stopping = false
  let restarts: number[] = []
  let current = await options.spawn()

  const keepAlive = async () => {
    while (!stopping) {
      const exit = await current.exited
      if (stopping) return
      const now = performance.now()
      restarts = [...restarts.filter((at) => now - at < WINDOW_MS), now]
      const how = exit.signal ?? `code ${exit.code}`
      if (restarts.length > MAX_RESTARTS) return options.onGiveUp(current.name)
      options.say(`${current.name} ended unexpectedly (${how}); starting it again`)
      await delay(RESTART_DELAY_MS)
      if (stopping) return
      current = await options.spawn()
    }
  }

  try {
    await current.waitUntilReady({ signal })
  } catch (error) {
    await current.stop()
    throw error
  }
  const kept = keepAlive().catch((error: unknown) => {
    options.say(`${current.name} cannot be started again (${errorMessage(error)})`)
    options.onGiveUp(current.name)
  })
  return {
    get pid() {
      return current.pid
    },
    async stop() {
      stopping = true
      await current.stop()
      await kept
      // One more may have been started in between.
      await current.stop()
    },
  }
}
