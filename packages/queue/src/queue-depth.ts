import type { JobQueue, QueueBackend } from './backend.ts'
import { readOldestWaiting } from './bullmq/oldest-waiting.ts'
import { itemsOf } from './envelope.ts'
import { unlessForbidden } from './redis-rights.ts'

/** Jobs of the main queue, over all shards. */
export interface QueueDepth {
  waiting: number
  active: number
  delayed: number
  /** Failed for good, and not yet buried by the sweeper. */
  failed: number
  /** When the oldest waiting job was added, or last taken. */
  oldestWaitingAt: Date | undefined
}

export async function readDepth(
  queues: readonly JobQueue<object>[],
  kind: QueueBackend['kind'],
): Promise<QueueDepth> {
  const depths = await Promise.all(
    queues.map(async (queue) => {
      const counts = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed')
      const oldest = await unlessUnreadable(readOldestWaiting(queue, kind))
      return { counts, oldestWaitingMs: oldest }
    }),
  )
  const sum = (state: string) => depths.reduce((total, { counts }) => total + (counts[state] ?? 0), 0)
  const oldest = depths.map((depth) => depth.oldestWaitingMs).filter((time) => time !== undefined)
  return {
    waiting: sum('waiting') + sum('prioritized'),
    active: sum('active'),
    delayed: sum('delayed'),
    failed: sum('failed'),
    oldestWaitingAt: oldest.length === 0 ? undefined : new Date(Math.min(...oldest)),
  }
}

/** Jobs that have not ended, in any state. */
export const countJobs = ({ waiting, active, delayed, failed }: QueueDepth) =>
  waiting + active + delayed + failed

/**
 * Workers that are connected to the shard with the fewest, on Redis. Undefined when Redis does not show its clients:
 * managed services often forbid it.
 */
export async function countWorkers(queues: readonly JobQueue<object>[]): Promise<number | undefined> {
  const counts: number[] = []
  for (const queue of queues) {
    const workers = await unlessForbidden(queue.getWorkers())
    // In place of an unknown command, BullMQ returns one client without a raw name.
    if (workers === undefined || workers.some(({ rawname }) => rawname === undefined)) return undefined
    counts.push(workers.length)
  }
  return Math.min(...counts)
}

/** Above this number of jobs, their events are not counted. */
const MAX_COUNTED_JOBS = 5_000

/** Events inside the jobs of the main queue; undefined when there are too many jobs, or BullMQ cannot read one. */
export async function countQueuedEvents(queues: readonly JobQueue<object>[]): Promise<number | undefined> {
  let events = 0
  for (const queue of queues) {
    const states = ['waiting', 'prioritized', 'active', 'delayed', 'failed'] as const
    const jobs = await queue.getJobCountByTypes(...states)
    if (jobs > MAX_COUNTED_JOBS) return undefined
    for (const state of states) {
      for (let start = 0; start < MAX_COUNTED_JOBS; start += PAGE) {
        const page = await unlessUnreadable(queue.getJobs([state], start, start + PAGE - 1))
        if (page === undefined) return undefined
        for (const job of page) events += itemsOf(job.data).length
        if (page.length < PAGE) break
      }
    }
  }
  return events
}

/** Undefined when a foreign program wrote a job whose options are not JSON: BullMQ throws when it reads the job. */
async function unlessUnreadable<Result>(read: Promise<Result>): Promise<Result | undefined> {
  try {
    return await read
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Jobs in memory at once. Each may be as long as MAX_JOB_LENGTH. */
const PAGE = 4
