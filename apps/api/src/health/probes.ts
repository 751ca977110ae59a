import { withDeadline } from '@tidings/runtime/deadline'

/** Which dependencies of the API take writes. */
export interface DependencyState {
  database: boolean
  /** The queue's store: Redis, or PostgreSQL on the PostgreSQL backend. */
  queue: boolean
}

export interface HealthProbes {
  /** Tries each store at most once a second. A store that does not take the write within a second counts as down. */
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
  /** Writes to PostgreSQL. A read-only server and one with a full disk answer a SELECT. */
  writeToDatabase(): Promise<unknown>
  /** Whether there is a connection to the queue's store. */
  queueState(): 'up' | 'down'
  /** Writes to the queue's store. Undefined when that is the database. */
  writeToQueue: (() => Promise<unknown>) | undefined
}

const CACHE_MS = 1_000
const DEADLINE_MS = 1_000

export function createHealthProbes(sources: HealthSources): HealthProbes {
  const takesWrites = createProbe(() => sources.writeToDatabase())
  const queueTakesWrites = sources.writeToQueue ? createProbe(sources.writeToQueue) : takesWrites
  let queueWasUp = false
  let stopping = false

  async function check(): Promise<DependencyState> {
    const isConnected = sources.queueState() === 'up'
    queueWasUp ||= isConnected
    const [database, queue] = await Promise.all([takesWrites(), isConnected && queueTakesWrites()])
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

/** Makes a function that tells whether `attempt` succeeds. It keeps an answer for CACHE_MS. */
function createProbe(attempt: () => Promise<unknown>): () => Promise<boolean> {
  let startedAtMs = Number.NEGATIVE_INFINITY
  let answer: Promise<boolean> = Promise.resolve(false)
  let isPending = false
  return () => {
    const nowMs = performance.now()
    // An attempt that hangs holds a connection. Another one would take the next.
    if (isPending || nowMs - startedAtMs < CACHE_MS) return answer
    startedAtMs = nowMs
    isPending = true
    const settled = attempt().then(
      () => true,
      () => false,
    )
    void settled.then(() => {
      isPending = false
    })
    answer = withDeadline(settled, DEADLINE_MS, tooLate).catch(() => false)
    return answer
  }
}

const tooLate = () => new Error('The store does not answer.')
