import { errorMessage } from '@tidings/shared/errors'
import type { Logger } from '@tidings/shared/log'

/** Keeps the worker from taking jobs while PostgreSQL is away, and notices when it is back. */
export interface OutageGate {
  /** Says that the store was found away; the first to say so pauses everything. */
  report(error: { code: string; message: string }): void
  readonly isOpen: boolean
  close(): void
}

export interface OutageGateOptions {
  /** Resolves when the store can be written again, else rejects. */
  probe(): Promise<void>
  pause(): Promise<void>
  resume(): Promise<void>
  log: Logger
  probeIntervalMs?: number
}

export function createOutageGate(options: OutageGateOptions): OutageGate {
  const { probe, pause, resume, log, probeIntervalMs = 500 } = options
  let open = false
  let closed = false
  let timer: NodeJS.Timeout | undefined

  function probeLater() {
    if (!closed) timer = setTimeout(() => void tryAgain(), probeIntervalMs)
  }

  async function tryAgain() {
    try {
      await probe()
    } catch {
      return probeLater()
    }
    open = false
    log.info('PostgreSQL is back: taking jobs again')
    await resume()
  }

  return {
    report(error) {
      if (open || closed) return
      open = true
      log.warn({ error }, 'PostgreSQL is away: no more jobs are taken, none loses an attempt')
      pause().catch((failure: unknown) => log.warn({ error: errorMessage(failure) }, 'pausing failed'))
      probeLater()
    },
    get isOpen() {
      return open
    },
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}
