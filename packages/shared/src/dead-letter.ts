import { z } from 'zod'

export const DEAD_LETTER_REASONS = [
  'invalid_event',
  'unknown_user',
  'unknown_notification',
  'conflict',
  'retries_exhausted',
  'stalled',
  'newer_version',
] as const
export const deadLetterReasonSchema = z.enum(DEAD_LETTER_REASONS)
export type DeadLetterReason = z.infer<typeof deadLetterReasonSchema>

/** One attempt that did not store the event. `at` is ISO 8601. */
export const failedAttemptSchema = z.object({ at: z.iso.datetime(), code: z.string(), message: z.string() })
export type FailedAttempt = z.infer<typeof failedAttemptSchema>

/** An event that the worker gave up on. An operator redrives, deletes or exports it. Times are ISO 8601. */
export const deadLetterSchema = z.object({
  /** The event as the worker last had it. For `invalid_event`: exactly what the producer sent. */
  event: z.unknown(),
  reason: deadLetterReasonSchema,
  error: z.object({ code: z.string(), message: z.string() }),
  /** Groups errors: equal when they differ only in ids, numbers and quoted values. */
  fingerprint: z.string(),
  /** How often the worker tried to store it. */
  attempts: z.int().min(0),
  /** The failed attempts, oldest first. A worker that crashed during an attempt records nothing here. */
  history: z.array(failedAttemptSchema).default([]),
  first_failed_at: z.string(),
  dead_at: z.string(),
  source_job_id: z.string().nullable(),
  /** How often an operator redrove it before this failure. */
  redrives: z.int().min(0),
})
export type DeadLetter = z.infer<typeof deadLetterSchema>

/** `tidings dlq redrive` skips an entry that was redriven this often, unless --force is given. */
export const MAX_REDRIVES = 3
