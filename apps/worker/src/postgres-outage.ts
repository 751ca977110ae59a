import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'

/** Keeps the worker from taking jobs while PostgreSQL is away, and notices when it is back. */
export interface PostgresOutage {
  /** Says that the store was found away; the first to say so pauses everything. */
  report(error: { code: string; message: string }): void
  readonly isOpen: boolean
  close(): void
}

export interface PostgresOutageOptions {
  /** Resolves when the store can be written again, else rejects. */
  probe(): Promise<void>
  pause(): Promise<void>
  resume(): Promise<void>
  log: Logger
  /** Doubled at each relapse. */
  probeIntervalMs?: number
}

/** A store that is away again so soon was not back: the probe found room for its row, and a batch did not. */
const RELAPSE_WITHIN_MS = 5_000
const MAX_PROBE_INTERVAL_MS = 10_000

export function createPostgresOutage(options: PostgresOutageOptions): PostgresOutage {
  const { probe, pause, resume, log, probeIntervalMs = 500 } = options
  let intervalMs = probeIntervalMs
  let backAt = Number.NEGATIVE_INFINITY
  let open = false
  let closed = false
  let timer: NodeJS.Timeout | undefined

  function probeLater() {
    if (!closed) timer = setTimeout(() => void tryAgain(), intervalMs)
  }

  async function tryAgain() {
    try {
      await probe()
    } catch {
      return probeLater()
    }
    open = false
    backAt = performance.now()
    log.info('PostgreSQL is back: taking jobs again')
    await resume()
  }

  return {
    report(error) {
      if (open || closed) return
      open = true
      const isRelapse = performance.now() - backAt < RELAPSE_WITHIN_MS
      intervalMs = isRelapse ? Math.min(intervalMs * 2, MAX_PROBE_INTERVAL_MS) : probeIntervalMs
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
