import type { JobQueue, QueueBackend } from '../backend.ts'

/** How often to look again when workers took the oldest job between two reads. */
const MAX_LOOKS = 3

/**
 * Since when the job has waited that has waited longest, in milliseconds since 1970. A job that a worker put back, for
 * example while no event names its notification, has waited since that worker took it. With a start and an end, BullMQ's PostgreSQL backend counts from the newest job, so
 * there the oldest one is the last.
 *
 * @returns undefined when none waits, and when workers take jobs faster than they can be looked at.
 * @throws SyntaxError when BullMQ cannot read the job.
 */
export async function readOldestWaiting(
  queue: JobQueue<object>,
  kind: QueueBackend['kind'],
): Promise<number | undefined> {
  if (kind === 'redis') return sinceOf((await queue.getWaiting(0, 0))[0])
  for (let look = 0; look < MAX_LOOKS; look++) {
    const waiting = await queue.getWaitingCount()
    if (waiting === 0) return undefined
    const [oldest] = await queue.getWaiting(waiting - 1, waiting - 1)
    if (oldest !== undefined) return sinceOf(oldest)
  }
  return undefined
}

const sinceOf = (job: { timestamp: number; processedOn?: number } | undefined): number | undefined =>
  job && Math.max(job.timestamp, job.processedOn ?? 0)
