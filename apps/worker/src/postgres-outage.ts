import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { errorMessage } from '@tidings/shared/errors'

/** Pauses the worker during an outage of PostgreSQL, and resumes it when PostgreSQL takes writes again. */
export interface PostgresOutage {
  /** Reports a write that failed because of an outage. The first report pauses the worker. */
  report(error: { code: string; message: string }): void
  readonly isPaused: boolean
  close(): void
}

export interface PostgresOutageOptions {
  /** Resolves if PostgreSQL takes a write, otherwise rejects. */
  probe(): Promise<void>
  pause(): Promise<void>
  resume(): Promise<void>
  log: Logger
  /** Time between two probes, in milliseconds. It doubles at each relapse. */
  probeIntervalMs?: number | undefined
}

/** An outage so soon after the last one is a relapse. On a full disk, for example, a probe may fit where a batch does not. */
const RELAPSE_WITHIN_MS = 5_000
const MAX_PROBE_INTERVAL_MS = 10_000

/** Probes PostgreSQL from the first report of an outage until a probe succeeds. */
export function createPostgresOutage(options: PostgresOutageOptions): PostgresOutage {
  const { probe, pause, resume, log, probeIntervalMs = 500 } = options
  const warnOfProbe = throttledWarning(log, 'writing to PostgreSQL')
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
    } catch (error) {
      warnOfProbe(error)
      return probeLater()
    }
    isPaused = false
    resumedAt = performance.now()
    log.info('PostgreSQL takes writes again: taking jobs')
    await resume()
  }

  return {
    report(error) {
      if (isPaused || closed) return
      isPaused = true
      const isRelapse = performance.now() - resumedAt < RELAPSE_WITHIN_MS
      intervalMs = isRelapse ? Math.min(intervalMs * 2, MAX_PROBE_INTERVAL_MS) : probeIntervalMs
      log.warn({ error }, 'PostgreSQL takes no writes: taking no jobs until it does; no attempt is counted')
      pause().catch((failure: unknown) =>
        log.warn({ error: errorMessage(failure) }, 'the worker could not be paused'),
      )
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
