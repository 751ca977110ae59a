import { openDatabase } from '@tidings/db/database'
import { createIngestAccount, mergeOldAccounts } from '@tidings/db/events/ingest-counters'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { openRedis, type QueueBackend, queueBackendOf } from '@tidings/queue/backend'
import { warnAboutDurability } from '@tidings/queue/durability'
import { createLifecycle, exitOnSignal } from '@tidings/runtime/lifecycle'
import { createLogger, type Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { errorMessage } from '@tidings/shared/errors'
import { EXPORT_WARNING_INTERVAL_MS, openTracing } from '@tidings/telemetry/open-tracing'
import type { WorkerEnv } from './env.ts'
import { serveWorkerHttp } from './health-server.ts'
import type { Store } from './jobs/batch-writer.ts'
import { createWorkerMetrics, watchStatusWorker } from './metrics.ts'
import { startStatusWorker } from './status-worker.ts'

/** Statements on their way at once; each has a connection and an account of its own. */
const WRITERS = 2

export interface RunWorkerHooks {
  /** Wraps the store: fault tests break it here, in a process that is otherwise the real one. */
  wrapStore?(store: Store): Store
}

/** The whole worker process: connects, serves health, takes jobs, stops on a signal. */
export async function runWorker(env: WorkerEnv, hooks: RunWorkerHooks = {}): Promise<void> {
  const tracing = await openTracing('tidings-worker', env)
  const log = createLogger('tidings-worker', env.LOG_LEVEL, tracing?.logFields)
  const lifecycle = createLifecycle(log)
  exitOnSignal(lifecycle, log)
  if (tracing) {
    tracing.onError(throttledWarning(log, 'trace export', EXPORT_WARNING_INTERVAL_MS))
    lifecycle.onRelease('tracing', tracing.stop)
  }
  const db = openDatabase({
    url: env.DATABASE_URL,
    applicationName: 'tidings-worker',
    maxConnections: WRITERS + 4,
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
  // Statements that run at once must not wait for one account's row.
  const accounts = Array.from({ length: WRITERS + 1 }, () => createIngestAccount('worker'))
  const accountOf = (lane: number) => accounts[lane] ?? createIngestAccount('worker')
  const store: Store = (events, lane) => storeStatusEvents(db.pool, events, accountOf(lane))

  worker = await startStatusWorker({
    db,
    backend,
    shards: env.QUEUE_SHARDS,
    concurrency: env.WORKER_CONCURRENCY,
    store: hooks.wrapStore?.(store) ?? store,
    writers: WRITERS,
    account: createIngestAccount('worker'),
    count,
    lifecycle,
    log,
    tracing,
    onWedged: () => log.flush(() => process.exit(70)),
  })
  watchStatusWorker(registry, worker)
  // Housekeeping that may as well happen at the next start.
  mergeOldAccounts(db.pool).catch((error: unknown) =>
    log.debug({ error: errorMessage(error) }, 'accounts not merged'),
  )
  log.info({ queue: backend.kind, shards: env.QUEUE_SHARDS, port: env.WORKER_PORT }, 'taking jobs')
  // A parent with a channel, such as npm start, is told that it is this process that listens there.
  process.send?.('started')
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
