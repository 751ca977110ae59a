/** How many jobs run at once, so that their events make good batches. */
export interface AdaptiveConcurrency {
  /** Records how many events a job held. */
  record(events: number): void
  /** Jobs to run at once, over all writers. */
  readonly jobs: number
  /** Jobs that fill one writer's batch. Once this many are waiting, write them at once. */
  readonly batchTarget: number
}

export interface AdaptiveConcurrencyOptions {
  /** Batches written at once. */
  writers: number
  /** Most jobs at once, 1 or more. */
  max: number
  /** Called with each new number of jobs. */
  onChange(jobs: number): void
}

/** Below this size a batch costs clearly more per row; above it, hardly less. */
const EVENTS_PER_BATCH = 400
const MIN_JOBS_PER_WRITER = 2
/** Weight of one job in the running average of events per job: about the last hundred jobs count. */
const WEIGHT = 0.02

/**
 * Runs just enough jobs at once to fill the batches: a few full jobs, or many jobs of one event each. More jobs would
 * only cost memory, and more requests: a worker without a free slot gets its next job in the answer that finishes the
 * last one, but a worker with free slots requests each job separately.
 */
export function createAdaptiveConcurrency({
  writers,
  max,
  onChange,
}: AdaptiveConcurrencyOptions): AdaptiveConcurrency {
  // Start low: the waiting jobs may be full ones.
  let average = EVENTS_PER_BATCH
  const jobsFor = (events: number) =>
    Math.min(Math.max(MIN_JOBS_PER_WRITER, Math.ceil(EVENTS_PER_BATCH / events)) * writers, max)
  let jobs = jobsFor(average)

  return {
    record(events) {
      average += (Math.max(1, events) - average) * WEIGHT
      const next = jobsFor(average)
      if (next === jobs) return
      jobs = next
      onChange(jobs)
    },
    get jobs() {
      return jobs
    },
    get batchTarget() {
      return Math.ceil(jobs / writers)
    },
  }
}
