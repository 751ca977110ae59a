/** Which dependencies of the API are up. */
export interface DependencyState {
  database: boolean
  /** The queue's store: Redis, or PostgreSQL on the PostgreSQL backend. */
  queue: boolean
}

export interface HealthProbes {
  /** Pings PostgreSQL at most once a second, and counts it as down when it does not answer within a second. */
  check(): Promise<DependencyState>
  /**
   * Whether a load balancer should send traffic: only after the queue was reached once, while at least one store is
   * up, and not while stopping.
   */
  isReady(): Promise<boolean>
  /** Makes isReady() false from now on. */
  stop(): void
}

export interface HealthSources {
  /** Resolves when PostgreSQL answers. */
  pingDatabase(): Promise<unknown>
  queueState(): 'up' | 'down'
}

const CACHE_MS = 1_000
const DEADLINE_MS = 1_000

export function createHealthProbes(sources: HealthSources): HealthProbes {
  let pingedAtMs = Number.NEGATIVE_INFINITY
  let answer: Promise<boolean> = Promise.resolve(false)
  let queueWasUp = false
  let stopping = false

  async function check(): Promise<DependencyState> {
    const nowMs = performance.now()
    if (nowMs - pingedAtMs >= CACHE_MS) {
      pingedAtMs = nowMs
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

/** Resolves to true when the ping succeeds within DEADLINE_MS. A late rejection is ignored. */
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
