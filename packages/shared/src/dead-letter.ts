import { z } from 'zod'

export const DEAD_LETTER_REASONS = [
  'invalid_event',
  'unknown_user',
  'conflict',
  'retries_exhausted',
  'stalled',
] as const
export const deadLetterReasonSchema = z.enum(DEAD_LETTER_REASONS)
export type DeadLetterReason = z.infer<typeof deadLetterReasonSchema>

/** One try that did not store the event. `at` is ISO 8601. */
export const failedAttemptSchema = z.object({ at: z.iso.datetime(), code: z.string(), message: z.string() })
export type FailedAttempt = z.infer<typeof failedAttemptSchema>

/** One event that will not be stored until somebody acts. Times are ISO 8601. */
export const deadLetterSchema = z.object({
  /** The event as it was when it died; an invalid one as it came. */
  event: z.unknown(),
  reason: deadLetterReasonSchema,
  error: z.object({ code: z.string(), message: z.string() }),
  /** Equal for errors that differ only in ids, numbers and quoted values. */
  fingerprint: z.string(),
  /** Times it was tried. */
  attempts: z.int().min(0),
  /** The tries whose errors are known, oldest first; a worker that died left no word of its own. */
  history: z.array(failedAttemptSchema).default([]),
  first_failed_at: z.string(),
  dead_at: z.string(),
  source_job_id: z.string().nullable(),
  /** Times it was sent back to the queue before this death. */
  redrives: z.int().min(0),
})
export type DeadLetter = z.infer<typeof deadLetterSchema>

/** Redriven this often without success, an entry is skipped unless forced. */
export const MAX_REDRIVES = 3
