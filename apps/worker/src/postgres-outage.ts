import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'

/** Stops the worker from taking jobs during an outage of PostgreSQL, and resumes when PostgreSQL takes writes again. */
export interface PostgresOutage {
  /** Reports that a write met the outage. The first report pauses the worker. */
  report(error: { code: string; message: string }): void
  readonly isPaused: boolean
  close(): void
}

export interface PostgresOutageOptions {
  /** Resolves when PostgreSQL takes a write, otherwise rejects. */
  probe(): Promise<void>
  pause(): Promise<void>
  resume(): Promise<void>
  log: Logger
  /** Time between two probes, in milliseconds. It doubles at each relapse. */
  probeIntervalMs?: number
}

/** An outage that soon after the last one is a relapse: on a full disk, the probe finds room where a batch does not. */
const RELAPSE_WITHIN_MS = 5_000
const MAX_PROBE_INTERVAL_MS = 10_000

export function createPostgresOutage(options: PostgresOutageOptions): PostgresOutage {
  const { probe, pause, resume, log, probeIntervalMs = 500 } = options
  let intervalMs = probeIntervalMs
  let resumedAt = Number.NEGATIVE_INFINITY
  let isPaused = false
  let closed = false
  let timer: NodeJS.Timeout | undefined

  function probeLater() {
    if (!closed) timer = setTimeout(() => void probeOnce(), intervalMs)
  }

  async function probeOnce() {
    try {
      await probe()
    } catch {
      return probeLater()
    }
    isPaused = false
    resumedAt = performance.now()
    log.info('PostgreSQL is back: taking jobs again')
    await resume()
  }

  return {
    report(error) {
      if (isPaused || closed) return
      isPaused = true
      const isRelapse = performance.now() - resumedAt < RELAPSE_WITHIN_MS
      intervalMs = isRelapse ? Math.min(intervalMs * 2, MAX_PROBE_INTERVAL_MS) : probeIntervalMs
      log.warn({ error }, 'PostgreSQL is away: taking no jobs until it is back; no attempt is counted')
      pause().catch((failure: unknown) => log.warn({ error: errorMessage(failure) }, 'pausing failed'))
      probeLater()
    },
    get isPaused() {
      return isPaused
    },
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}
