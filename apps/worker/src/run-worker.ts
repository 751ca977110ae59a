import { openDatabase } from '@tidings/db/database'
import { mergeOldAccounts, openIngestAccount } from '@tidings/db/ingest-accounts'
import { storeStatusEvents } from '@tidings/db/status-events'
import { openRedis, type QueueBackend, queueBackendOf } from '@tidings/queue/backend'
import { warnAboutDurability } from '@tidings/queue/durability'
import { throttledWarning } from '@tidings/queue/status-events'
import { errorMessage } from '@tidings/shared/errors'
import { createLifecycle, exitOnSignal, type Lifecycle } from '@tidings/shared/lifecycle'
import { createLogger, type Logger } from '@tidings/shared/log'
import type { Store } from './batch-writer.ts'
import type { WorkerEnv } from './env.ts'
import { serveWorkerHttp } from './http.ts'
import { createWorkerMetrics } from './metrics.ts'
import { startStatusWorker } from './worker.ts'

/** Statements on their way at once; each has a connection and an account of its own. */
const LANES = 2
const RETRY_MS = 500

export interface RunWorkerHooks {
  /** Wraps the store: fault tests break it here, in a process that is otherwise the real one. */
  wrapStore?(store: Store): Store
}

/** The whole worker process: connects, serves health, takes jobs, stops on a signal. */
export async function runWorker(env: WorkerEnv, hooks: RunWorkerHooks = {}): Promise<void> {
  const log = createLogger('tidings-worker', env.LOG_LEVEL)
  const lifecycle = createLifecycle(log)
  exitOnSignal(lifecycle, log)
  const db = openDatabase({
    url: env.DATABASE_URL,
    applicationName: 'tidings-worker',
    maxConnections: LANES + 4,
    statementTimeoutMs: 30_000,
    onError: throttledWarning(log, 'PostgreSQL connection'),
  })
  lifecycle.onRelease('database', () => db.close())

  const { registry, count } = createWorkerMetrics()
  let worker: Awaited<ReturnType<typeof startStatusWorker>> | undefined
  const server = await serveWorkerHttp({
    port: env.WORKER_PORT,
    host: env.HOST,
    registry,
    isReady: () => worker?.isTakingJobs ?? false,
  })
  lifecycle.onRelease('http', () => void server.close())

  const backend = queueBackendOf(env)
  await checkDurability(backend, env.STRICT_DURABILITY, log)
  const accounts = await untilDatabaseAnswers(log, lifecycle, async () => {
    await mergeOldAccounts(db.pool)
    return Promise.all(Array.from({ length: LANES }, () => openIngestAccount(db.pool, 'worker')))
  })
  const account = (lane: number) => accounts[lane] ?? ''
  const store: Store = (events, lane) => storeStatusEvents(db.pool, events, { processId: account(lane) })

  worker = await startStatusWorker({
    db,
    backend,
    shards: env.QUEUE_SHARDS,
    concurrency: env.WORKER_CONCURRENCY,
    store: hooks.wrapStore?.(store) ?? store,
    lanes: LANES,
    accountId: account(0),
    count,
    lifecycle,
    log,
    onWedged: () => log.flush(() => process.exit(70)),
  })
  log.info({ queue: backend.kind, shards: env.QUEUE_SHARDS, port: env.WORKER_PORT }, 'taking jobs')
}

async function checkDurability(backend: QueueBackend, strict: boolean, log: Logger): Promise<void> {
  if (backend.kind !== 'redis') return
  const redis = openRedis(backend.url, 'patient', throttledWarning(log, 'Redis connection'))
  try {
    await warnAboutDurability(redis, strict, log)
  } finally {
    redis.disconnect()
  }
}

/** A worker that starts before its database waits for it instead of dying in a loop. */
async function untilDatabaseAnswers<T>(
  log: Logger,
  lifecycle: Lifecycle,
  work: () => Promise<T>,
): Promise<T> {
  let stopped = false
  lifecycle.onRelease('start-up', () => {
    stopped = true
  })
  const warn = throttledWarning(log, 'first contact with PostgreSQL', 5_000)
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (stopped) throw new Error(`Stopped while waiting for PostgreSQL: ${errorMessage(error)}`)
      warn(error)
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}
