import { mastersOf } from './open-redis.ts'
import type { StatusPublisher } from './publisher.ts'
import { unlessForbidden } from './redis-rights.ts'
import { answersOf } from './unless-away.ts'

export type Pressure = { shed: false } | { shed: true; why: 'depth' | 'memory' }

const NONE: Pressure = { shed: false }

export interface BackpressureOptions {
  publisher: Pick<StatusPublisher, 'queues' | 'redis' | 'isConnected'>
  /** Number of jobs in any state at which the API refuses new events. */
  maxDepth: number
  /** Share of Redis's maxmemory at which the API refuses new events. Completing a job needs memory too. */
  maxMemoryShare?: number
  pollIntervalMs?: number
}

export interface Backpressure {
  /** The last reading. No pressure while the store is unreachable: events then go to PostgreSQL. */
  readonly pressure: Pressure
  /** Jobs at the last reading; undefined before the first one. */
  readonly depth: number | undefined
  poll(): Promise<void>
  close(): void
}

/** Polls how full the queue is. A request only reads the last value. */
export function watchBackpressure(options: BackpressureOptions): Backpressure {
  const { publisher, maxDepth, maxMemoryShare = 0.7, pollIntervalMs = 500 } = options
  let pressure = NONE
  let depth: number | undefined
  let polling = false

  async function poll() {
    // Keep the last reading while the store is unreachable: a full queue does not drain meanwhile.
    if (polling || !publisher.isConnected) return
    polling = true
    try {
      depth = await countJobs(publisher)
      const share = await memoryShare(publisher)
      if (share >= maxMemoryShare) pressure = { shed: true, why: 'memory' }
      else pressure = depth >= maxDepth ? { shed: true, why: 'depth' } : { shed: false }
    } catch {
      // The connection reports its own errors.
    } finally {
      polling = false
    }
  }

  const timer = setInterval(() => void poll(), pollIntervalMs)
  timer.unref()
  return {
    get pressure() {
      return publisher.isConnected ? pressure : NONE
    },
    get depth() {
      return depth
    },
    poll,
    close: () => clearInterval(timer),
  }
}

async function countJobs(publisher: Pick<StatusPublisher, 'queues'>): Promise<number> {
  const counts = await answersOf(
    (publisher.queues ?? []).map((queue) =>
      queue.getJobCountByTypes('waiting', 'active', 'delayed', 'failed', 'prioritized'),
    ),
  )
  return counts.reduce((sum, jobs) => sum + jobs, 0)
}

async function memoryShare({ redis }: Pick<StatusPublisher, 'redis'>): Promise<number> {
  if (!redis) return 0
  const infos = await answersOf(mastersOf(redis).map((node) => unlessForbidden(node.info('memory'))))
  const shares = infos.map((info = '') => {
    const max = readInfo(info, 'maxmemory')
    return max === 0 ? 0 : readInfo(info, 'used_memory') / max
  })
  // Events are spread over the masters: they fill up together.
  return Math.max(0, ...shares)
}

function readInfo(info: string, field: string): number {
  return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
}
