import type { JobsOptions } from 'bullmq'

/** The queue of envelopes. Shard 0 has this name; shard n is `status-events-n`. */
export const STATUS_QUEUE = 'status-events'
export const DEAD_LETTER_QUEUE = 'status-events-dead'
export const ENVELOPE_JOB = 'envelope'
export const DEAD_LETTER_JOB = 'dead-letter'
/** The queue of messages that the e-mail service sends. */
export const OUTBOUND_QUEUE = 'outbound-messages'
export const OUTBOUND_JOB = 'message'

/**
 * The longest job data that the worker parses, in characters: several times an envelope of the largest events. Parsing
 * more may exhaust the memory of the process.
 */
export const MAX_JOB_LENGTH = 16 * 1024 * 1024

/** The first run and three retries. */
const ATTEMPTS = 4

/** The options of every envelope, whoever enqueues it. */
export const ENVELOPE_JOB_OPTIONS = {
  attempts: ATTEMPTS,
  // 0.5 s, 1 s, 2 s, each shortened by a random amount of up to half, so that retries spread out.
  backoff: { type: 'exponential', delay: 500, jitter: 0.5 },
  removeOnComplete: true,
  // A failed job is the only durable record of its events until the sweeper has buried them. Never set an age
  // or a count here: both delete silently.
  removeOnFail: false,
} as const satisfies JobsOptions

export const DEAD_LETTER_JOB_OPTIONS = {
  attempts: 1,
  // A priority puts the job into a sorted set, where removing one of 200,000 is O(log n). In the plain list it is O(n).
  priority: 1,
  removeOnFail: false,
} as const satisfies JobsOptions

/** The options of every outbound message. Its id is the job's id, so adding it twice adds it once. */
export const OUTBOUND_JOB_OPTIONS = {
  // The first run and ten retries after 2 s, 4 s, 8 s … 17 min, each shortened by up to half: 17 to 34 minutes in all.
  // A password reset is worth sending for an hour.
  attempts: 11,
  backoff: { type: 'exponential', delay: 2_000, jitter: 0.5 },
  // The data holds the secret of a link.
  removeOnComplete: true,
  removeOnFail: true,
} as const satisfies JobsOptions

/** How long a job stays locked after its worker exited, in milliseconds. Then another worker may take it. */
export const LOCK_DURATION_MS = 10_000
/** How often a worker looks for jobs whose lock has expired, in milliseconds. */
export const STALLED_INTERVAL_MS = 5_000
/** How often a job may lose its worker. The next time, the job fails as `stalled`. */
export const MAX_STALLED_COUNT = 5
