/** How many jobs run at once. */
export interface AdaptiveConcurrency {
  /** Takes note of how many events a job held. */
  note(events: number): void
  /** Jobs at once, over all lanes. */
  readonly count: number
  /** Jobs that make a batch for one lane. While so many wait to be written, there is no sense in waiting for more. */
  readonly batchTarget: number
}

export interface AdaptiveConcurrencyOptions {
  /** Batches written at once. */
  writers: number
  /** Most jobs at once, 1 or more. */
  max: number
  /** Told each new count. */
  onChange(count: number): void
}

/** A statement with fewer rows costs clearly more per row; one with more hardly less. */
const EVENTS_PER_BATCH = 400
const MIN_JOBS_PER_LANE = 2
/** How much a job counts in the running average of events per job: the last hundred or so matter. */
const WEIGHT = 0.02

/**
 * As many jobs at once as make good batches: few that are full, many that hold one event each. Not more than
 * that, for memory, and because the slot of a finished job gets the next one in the same answer from the queue,
 * while a worker with empty slots asks for each job by itself.
 */
export function createAdaptiveConcurrency({
  writers,
  max,
  onChange,
}: AdaptiveConcurrencyOptions): AdaptiveConcurrency {
  // Careful at first: the jobs that wait may be full ones.
  let average = EVENTS_PER_BATCH
  const countFor = (events: number) =>
    Math.min(Math.max(MIN_JOBS_PER_LANE, Math.ceil(EVENTS_PER_BATCH / events)) * writers, max)
  let count = countFor(average)

  return {
    note(events) {
      average += (Math.max(1, events) - average) * WEIGHT
      const next = countFor(average)
      if (next === count) return
      count = next
      onChange(count)
    },
    get count() {
      return count
    },
    get batchTarget() {
      return Math.ceil(count / writers)
    },
  }
}
