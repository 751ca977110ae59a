import type { Job } from 'bullmq'
import type { JobQueue, QueueBackend } from '../backend.ts'

/** How often to look again when workers took the oldest job between two reads. */
const MAX_LOOKS = 3

/**
 * The job that has waited longest. With a start and an end, BullMQ's PostgreSQL backend counts from the newest job, so
 * there the oldest one is the last.
 *
 * @returns undefined when none waits, and when workers take jobs faster than they can be looked at.
 * @throws SyntaxError when BullMQ cannot read the job.
 */
export async function readOldestWaiting(
  queue: JobQueue<object>,
  kind: QueueBackend['kind'],
): Promise<Pick<Job, 'timestamp'> | undefined> {
  if (kind === 'redis') return (await queue.getWaiting(0, 0))[0]
  for (let look = 0; look < MAX_LOOKS; look++) {
    const waiting = await queue.getWaitingCount()
    if (waiting === 0) return undefined
    const [oldest] = await queue.getWaiting(waiting - 1, waiting - 1)
    if (oldest !== undefined) return oldest
  }
  return undefined
}
