/** Decides how many jobs run together, so that their events fill the batches. */
export interface AdaptiveConcurrency {
  /** Updates the average number of events per job. */
  record(events: number): void
  /** The number of jobs to run together, over all writers. */
  readonly jobs: number
  /** This many jobs fill one writer's batch. When they wait, the writer writes them without waiting for more. */
  readonly batchTarget: number
}

export interface AdaptiveConcurrencyOptions {
  /** Batches written at once. */
  writers: number
  /** The maximum number of jobs that run together; at least 1. */
  max: number
  /** Called with each new number of jobs. */
  onChange(jobs: number): void
}

/** A smaller batch costs clearly more per row. A larger batch saves little. */
const EVENTS_PER_BATCH = 400
const MIN_JOBS_PER_WRITER = 2
/** Weight of one job in the running average of events per job: about the last hundred jobs count. */
const WEIGHT = 0.02

/**
 * Runs just enough jobs together to fill the batches: a few full jobs, or many jobs of one event each. More jobs
 * would cost memory and requests: a fully busy worker receives its next job in the answer that finishes one, while a
 * worker with room sends a separate request for each job.
 */
export function createAdaptiveConcurrency({
  writers,
  max,
  onChange,
}: AdaptiveConcurrencyOptions): AdaptiveConcurrency {
  // Assume full jobs at the start, so that few jobs run together.
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
