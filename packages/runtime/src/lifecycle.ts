import { errorMessage } from '@tidings/shared/errors'
import type { Logger } from './log.ts'

export type Release = () => Promise<void> | void

/** Collects the releases of acquired resources and runs them in reverse order. */
export interface Lifecycle {
  /**
   * Registers the release of a resource that was just acquired.
   *
   * @param deadlineMs how long to wait for it before starting the next one.
   */
  onRelease(name: string, release: Release, deadlineMs?: number): void
  /** Releases everything, once. A release that fails or is slow does not stop the others. */
  release(): Promise<void>
}

const RELEASE_DEADLINE_MS = 5_000

export function createLifecycle(log: Logger): Lifecycle {
  const releases: { name: string; release: Release; deadlineMs: number }[] = []
  let released: Promise<void> | undefined

  async function releaseAll() {
    for (const { name, release, deadlineMs } of releases.toReversed()) {
      const timer = Promise.withResolvers<void>()
      const timeout = setTimeout(() => {
        log.warn({ part: name, deadlineMs }, 'part did not stop in time')
        timer.resolve()
      }, deadlineMs)
      await Promise.race([Promise.resolve().then(release), timer.promise]).catch((error: unknown) =>
        log.warn({ part: name, error: errorMessage(error) }, 'part failed to stop'),
      )
      clearTimeout(timeout)
    }
  }

  return {
    onRelease: (name, release, deadlineMs = RELEASE_DEADLINE_MS) =>
      void releases.push({ name, release, deadlineMs }),
    release: () => {
      released ??= releaseAll()
      return released
    },
  }
}

const STOP_LIMIT_MS = 10_000

/**
 * Ends the process on SIGTERM or SIGINT: releases everything, then exits with 0. Exits with 1 when that takes over 10 s.
 * Ignores further signals.
 *
 * @param delayMs how much longer it may take, because a release waits that long on purpose.
 */
export function exitOnSignal(lifecycle: Lifecycle, log: Logger, delayMs = 0): void {
  const limitMs = STOP_LIMIT_MS + delayMs
  let isStopping = false
  const stop = (signal: NodeJS.Signals) => {
    if (isStopping) return
    isStopping = true
    log.info({ signal }, 'stopping')
    setTimeout(() => {
      log.error({ limitMs }, 'could not stop in time')
      process.exit(1)
    }, limitMs).unref()
    lifecycle.release().then(() => {
      log.info('stopped')
      log.flush(() => process.exit(0))
    })
  }
  // `on`, not `once`: without a listener a second signal would end the process at once.
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}
