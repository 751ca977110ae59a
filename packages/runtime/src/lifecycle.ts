import { errorMessage } from '@tidings/shared/errors'
import type { Logger } from './log.ts'

export type Release = () => Promise<void> | void

/** Remembers how to give back what was acquired, and gives it back in reverse order. */
export interface Lifecycle {
  /** Registers the release of a thing that was just acquired. */
  onRelease(name: string, release: Release): void
  /** Releases everything, once; a failing or slow one does not keep the others. */
  release(): Promise<void>
}

/** @param deadlineMs how long one release may take before the next one starts. */
export function createLifecycle(log: Logger, deadlineMs = 5_000): Lifecycle {
  const releases: { name: string; release: Release }[] = []
  let released: Promise<void> | undefined

  async function releaseAll() {
    for (const { name, release } of releases.toReversed()) {
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
    onRelease: (name, release) => void releases.push({ name, release }),
    release: () => {
      released ??= releaseAll()
      return released
    },
  }
}

/**
 * Ends the process after SIGTERM or SIGINT: releases everything, then exits with 0. Exits with 1 when that
 * takes longer than `limitMs`. A second signal changes nothing.
 */
export function exitOnSignal(lifecycle: Lifecycle, log: Logger, limitMs = 10_000): void {
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
  // A listener that is gone would let the second signal end the process at once.
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}
