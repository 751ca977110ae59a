import type { JobQueue, QueueBackend } from '../backend.ts'

/** How often to look again when workers took the oldest job between two reads. */
const MAX_LOOKS = 3
/** How many jobs to read when the clock of the oldest one's producer was ahead. */
const JOBS_PAST_AHEAD = 10

/**
 * Since when the job has waited that has waited longest, in milliseconds since 1970. A job that a worker put back, for
 * example while no event names its notification, has waited since that worker took it. The time of a job is its
 * producer's: one that is still to come says nothing, and the next jobs are asked.
 *
 * @returns undefined when none waits, and when workers take jobs faster than they can be looked at.
 * @throws SyntaxError when BullMQ cannot read the job.
 */
export async function readOldestWaiting(
  queue: JobQueue<object>,
  kind: QueueBackend['kind'],
  now = Date.now(),
): Promise<number | undefined> {
  const since = sinceOf(await readOldest(queue, kind, 1))
  if (since === undefined || since <= now) return since
  return sinceOf(await readOldest(queue, kind, JOBS_PAST_AHEAD))
}

/** With a start and an end, BullMQ's PostgreSQL backend counts from the newest job, so there the oldest one is the last. */
async function readOldest(queue: JobQueue<object>, kind: QueueBackend['kind'], count: number) {
  if (kind === 'redis') return queue.getWaiting(0, count - 1)
  for (let look = 0; look < MAX_LOOKS; look++) {
    const waiting = await queue.getWaitingCount()
    if (waiting === 0) return []
    const jobs = await queue.getWaiting(Math.max(0, waiting - count), waiting - 1)
    if (jobs.length > 0) return jobs
  }
  return []
}

/** @param jobs undefined: a worker took the job meanwhile. */
function sinceOf(jobs: readonly ({ timestamp: number; processedOn?: number } | undefined)[]) {
  const times = jobs
    .filter((job) => job !== undefined)
    .map((job) => Math.max(job.timestamp, job.processedOn ?? 0))
  return times.length === 0 ? undefined : Math.min(...times)
}
