import { errorMessage } from '@tidings/shared/errors'
import type { Logger } from './log.ts'

/**
 * Creates a function that logs a warning at most once per interval, so that an outage does not flood the log. Each
 * line has the number of warnings suppressed since the previous one.
 *
 * @param subject the failing part. The line reads `<subject> failed`.
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
