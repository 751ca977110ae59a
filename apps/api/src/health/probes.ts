/** Whether the parts that the API stands on can do their job. */
export interface DependencyState {
  database: boolean
  /** The queue's store: Redis, or PostgreSQL where there is no Redis. */
  queue: boolean
}

export interface HealthProbes {
  /** PostgreSQL is asked at most once a second, and never takes longer than a second to be judged. */
  check(): Promise<DependencyState>
  /**
   * Whether traffic should come here: not before the queue was reached once, not while stopping, and not
   * while neither store can take an event.
   */
  isReady(): Promise<boolean>
  /** From now on not ready. */
  stop(): void
}

export interface HealthSources {
  /** Resolves when PostgreSQL answered. */
  pingDatabase(): Promise<unknown>
  queueState(): 'up' | 'down'
}

const CACHE_MS = 1_000
const DEADLINE_MS = 1_000

export function createHealthProbes(sources: HealthSources): HealthProbes {
  let askedAtMs = Number.NEGATIVE_INFINITY
  let answer: Promise<boolean> = Promise.resolve(false)
  let queueWasUp = false
  let stopping = false

  async function check(): Promise<DependencyState> {
    const nowMs = performance.now()
    if (nowMs - askedAtMs >= CACHE_MS) {
      askedAtMs = nowMs
      answer = withDeadline(sources.pingDatabase())
    }
    const database = await answer
    const queue = sources.queueState() === 'up'
    queueWasUp ||= queue
    return { database, queue }
  }

  return {
    check,
    async isReady() {
      const { database, queue } = await check()
      return !stopping && queueWasUp && (database || queue)
    },
    stop() {
      stopping = true
    },
  }
}

/** True when it resolves in time. A late rejection is nobody's concern any more. */
async function withDeadline(ping: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), DEADLINE_MS)
  })
  const answered = ping.then(
    () => true,
    () => false,
  )
  return Promise.race([answered, late]).finally(() => clearTimeout(timer))
}
