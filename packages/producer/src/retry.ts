import { setTimeout as sleep } from 'node:timers/promises'
import { ProducerError } from './errors.ts'

export interface RetryOptions {
  /** By performance.now(). No attempt begins after it. */
  deadlineAt: number
  /** The longest pause before the second attempt. It doubles with each attempt, up to `maxDelayMs`. */
  firstDelayMs: number
  maxDelayMs: number
  /** Ends the pauses. */
  signal: AbortSignal
}

/**
 * Repeats an attempt while it rejects as `unavailable`, until the next one would begin after the deadline. Each pause is
 * shortened by up to half at random, so that producers spread out. A pause that the API asked for comes on top.
 *
 * @throws the last error of the attempt.
 */
export async function retry<Result>(
  attempt: () => Promise<Result>,
  { deadlineAt, firstDelayMs, maxDelayMs, signal }: RetryOptions,
): Promise<Result> {
  for (let failed = 0; ; failed++) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof ProducerError) || error.code !== 'unavailable' || signal.aborted) throw error
      const delayMs = Math.min(firstDelayMs * 2 ** failed, maxDelayMs) * (0.5 + Math.random() / 2)
      const waitMs = delayMs + (error.retryAfterMs ?? 0)
      if (performance.now() + waitMs >= deadlineAt) throw error
      await sleep(waitMs, undefined, { signal })
    }
  }
}

/**
 * Reads the header Retry-After (RFC 9110, section 10.2.3): seconds, or a date.
 *
 * @returns milliseconds from now; undefined when it is absent or neither.
 */
export function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1_000 : Date.parse(value) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}
