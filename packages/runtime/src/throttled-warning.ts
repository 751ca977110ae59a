import { errorMessage } from '@tidings/shared/errors'
import type { Logger } from './log.ts'

/** The same reason is repeated after this long, in milliseconds. */
const REPEAT_MS = 60_000
/** Two warnings are at least this far apart, in milliseconds. */
const SPACING_MS = 1_000

/**
 * Creates a function that logs a warning with its reason. An outage does not flood the log: the same reason is logged
 * once a minute, another one after a second. Each line has the number of warnings suppressed since the previous one.
 *
 * @param subject the failing part. The line reads `<subject> failed`.
 */
export function throttledWarning(log: Logger, subject: string): (error: unknown) => void {
  let logged: { error: string; at: number } | undefined
  let suppressed = 0
  return (thrown) => {
    const now = performance.now()
    const error = errorMessage(thrown)
    const pauseMs = error === logged?.error ? REPEAT_MS : SPACING_MS
    if (logged !== undefined && now < logged.at + pauseMs) {
      suppressed++
      return
    }
    logged = { error, at: now }
    log.warn({ error, suppressed }, `${subject} failed`)
    suppressed = 0
  }
}
