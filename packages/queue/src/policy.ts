import type { JobsOptions } from 'bullmq'

/** The queue of envelopes. Shard 0 has this name; shard n is `status-events-n`. */
export const STATUS_QUEUE = 'status-events'
export const DEAD_LETTER_QUEUE = 'status-events-dead'
export const ENVELOPE_JOB = 'envelope'
export const DEAD_LETTER_JOB = 'dead-letter'

export const shardNames = (shards: number): string[] =>
  Array.from({ length: shards }, (_, shard) => (shard === 0 ? STATUS_QUEUE : `${STATUS_QUEUE}-${shard}`))

/**
 * The longest data of a job that is read, in characters: several times an envelope of the largest events there are. To
 * parse more may end the process.
 */
export const MAX_JOB_LENGTH = 16 * 1024 * 1024

/** The first run and three retries. */
export const ATTEMPTS = 4

/** One source for how an envelope is tried, whoever enqueues it. */
export const ENVELOPE_JOB_OPTIONS = {
  attempts: ATTEMPTS,
  // 0.5 s, 1 s, 2 s, each shortened by up to half, so that a herd of retries spreads out.
  backoff: { type: 'exponential', delay: 500, jitter: 0.5 },
  removeOnComplete: true,
  // A failed job is the only durable record of its events until the sweeper has buried them. Never an age
  // or a count here: both delete silently.
  removeOnFail: false,
} as const satisfies JobsOptions

export const DEAD_LETTER_JOB_OPTIONS = {
  attempts: 1,
  // A priority puts the job into a sorted set: removing one of 200,000 is O(log n), in the plain list O(n).
  priority: 1,
  removeOnFail: false,
} as const satisfies JobsOptions

/** A dead worker's job is taken up again after this long, in milliseconds. */
export const LOCK_DURATION_MS = 10_000
export const STALLED_INTERVAL_MS = 5_000
/** Worker deaths an envelope survives; the next one ends it as `stalled`. */
export const MAX_STALLED_COUNT = 5
