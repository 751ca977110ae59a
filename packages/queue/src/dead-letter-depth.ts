import type { JobQueue } from './backend.ts'
import type { QueueDepth } from './dead-letter-store.ts'

/** Sums the jobs of the main queue's shards. */
export async function readDepth(queues: readonly JobQueue<object>[]): Promise<QueueDepth> {
  const depths = await Promise.all(
    queues.map(async (queue) => {
      const counts = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed')
      const [oldest] = await queue.getWaiting(0, 0)
      return { counts, oldestWaitingMs: oldest?.timestamp }
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
