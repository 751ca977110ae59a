import type { StatusPublisher } from './publisher.ts'

export type Pressure = { shed: false } | { shed: true; why: 'depth' | 'memory' }

const NONE: Pressure = { shed: false }

export interface BackpressureOptions {
  publisher: Pick<StatusPublisher, 'queues' | 'redis' | 'isConnected'>
  /** Jobs in the queue, in whatever state, from which on new ones are refused. */
  maxDepth: number
  /** Share of Redis's maxmemory from which on new jobs are refused: completing a job needs memory too. */
  maxMemoryShare?: number
  pollIntervalMs?: number
}

export interface Backpressure {
  /** The latest reading; costs nothing. None while the store is away: what is stored elsewhere does not fill it. */
  readonly pressure: Pressure
  /** Jobs at the latest reading. */
  readonly depth: number
  poll(): Promise<void>
  close(): void
}

/** Watches how full the queue is, by polling: never a question per request. */
export function watchBackpressure(options: BackpressureOptions): Backpressure {
  const { publisher, maxDepth, maxMemoryShare = 0.7, pollIntervalMs = 500 } = options
  let pressure = NONE
  let depth = 0
  let polling = false

  async function poll() {
    // The last reading stands until the store is back: what was full is full still.
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
  const counts = await Promise.all(
    (publisher.queues ?? []).map((queue) =>
      queue.getJobCounts('waiting', 'active', 'delayed', 'failed', 'prioritized'),
    ),
  )
  return counts.flatMap((count) => Object.values(count)).reduce((sum, jobs) => sum + jobs, 0)
}

async function memoryShare({ redis }: Pick<StatusPublisher, 'redis'>): Promise<number> {
  if (!redis) return 0
  const info = await redis.info('memory')
  const max = readInfo(info, 'maxmemory')
  return max === 0 ? 0 : readInfo(info, 'used_memory') / max
}

function readInfo(info: string, field: string): number {
  return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
}
