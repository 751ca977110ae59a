import { errorMessage } from '@tidings/shared/errors'
import type { Logger } from './log.ts'

/**
 * Makes a function that logs a warning at most once per interval, with the number of warnings it left out:
 * an outage must not flood the log.
 *
 * @param subject what failed, as the start of the log line.
 */
export function throttledWarning(log: Logger, subject: string, intervalMs = 1_000): (error: unknown) => void {
  let silentUntil = 0
  let suppressed = 0
  return (error) => {
    const now = Date.now()
    if (now < silentUntil) {
      suppressed++
      return
    }
    silentUntil = now + intervalMs
    log.warn({ error: errorMessage(error), suppressed }, `${subject} failed`)
    suppressed = 0
  }
}
