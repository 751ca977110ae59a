import { setTimeout as delay } from 'node:timers/promises'
import { errorMessage } from '@tidings/shared/errors'

export interface WaitOptions {
  /** Default: 30 s, because a test on a busy machine may wait for a process for many seconds. */
  timeoutMs?: number
  intervalMs?: number
  /** Ends the wait early, with the signal's reason. */
  signal?: AbortSignal
  /** Adds to the error what the caller knows, such as the end of a log. */
  explain?(): string
}

/** The condition did not become true in time. */
export class WaitTimeoutError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'WaitTimeoutError'
  }
}

/**
 * Calls `probe` until it returns something other than false, undefined or null, and returns that. Treats a probe that
 * throws as "not yet".
 *
 * @param what completes the sentence "gave up waiting for …".
 * @throws WaitTimeoutError with the last error of the probe.
 */
export async function waitFor<T>(
  what: string,
  probe: () => T | Promise<T>,
  { timeoutMs = 30_000, intervalMs = 50, signal, explain }: WaitOptions = {},
): Promise<Exclude<Awaited<T>, false | undefined | null>> {
  const startedAt = performance.now()
  let lastError: unknown
  for (;;) {
    signal?.throwIfAborted()
    try {
      const found = await probe()
      if (found !== false && found !== undefined && found !== null)
        return found as Exclude<Awaited<T>, false | undefined | null>
      lastError = undefined
    } catch (error) {
      lastError = error
    }
    if (performance.now() - startedAt >= timeoutMs) break
    await delay(intervalMs)
  }
  const details = [
    lastError === undefined ? undefined : `last error: ${errorMessage(lastError)}`,
    explain?.(),
  ]
  throw new WaitTimeoutError(
    [`Gave up waiting for ${what} after ${timeoutMs} ms`, ...details.filter((line) => line)].join('; '),
    lastError,
  )
}
