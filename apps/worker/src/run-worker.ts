import { openDatabase, PLANS_FOR_MANY_ROWS } from '@tidings/db/database'
import { CountGroups } from '@tidings/db/events/count-groups'
import { IngestCounters } from '@tidings/db/events/ingest-counters'
import { storeStatusEvents } from '@tidings/db/events/status-events'
import { type QueueBackend, queueBackendOf } from '@tidings/queue/backend'
import { warnAboutDurability } from '@tidings/queue/durability'
import { createLifecycle, exitOnSignal } from '@tidings/runtime/lifecycle'
import { createLogger, type Logger } from '@tidings/runtime/log'
import { warnAboutRecipientKey } from '@tidings/runtime/recipient-key'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { errorMessage } from '@tidings/shared/errors'
import { openTracing } from '@tidings/telemetry/open-tracing'
import { connectRedis } from './connect-redis.ts'
import type { WorkerEnv } from './env.ts'
import { serveWorkerHttp } from './health-server.ts'
import type { Store } from './jobs/batch-writer.ts'
import type { EventCounters } from './jobs/process-envelope.ts'
import { createWorkerMetrics, watchStatusWorker } from './metrics.ts'
import { startOutbound } from './outbound/start-outbound.ts'
import { startStatusWorker } from './status-worker.ts'
import { Upkeep } from './upkeep.ts'

/** Statements in flight at once, each on its own connection. */
const WRITERS = 2

export interface RunWorkerHooks {
  /** Wraps the store. Fault tests make it fail here, in an otherwise real process. */
  wrapStore?(store: Store): Store
}

/** Runs the worker process: connects, serves health and metrics, takes jobs, and stops on a signal. */
export async function runWorker(env: WorkerEnv, hooks: RunWorkerHooks = {}): Promise<void> {
  const tracing = await openTracing('tidings-worker', env)
  const log = createLogger('tidings-worker', env.LOG_LEVEL, tracing?.logFields)
  const lifecycle = createLifecycle(log)
  exitOnSignal(lifecycle, log)
  if (tracing) {
    tracing.onError(throttledWarning(log, 'trace export'))
    lifecycle.onRelease('tracing', tracing.stop)
  }
  const db = openDatabase({
    url: env.DATABASE_URL,
    applicationName: 'tidings-worker',
    maxConnections: WRITERS + 5,
    statementTimeoutMs: 30_000,
    settings: PLANS_FOR_MANY_ROWS,
    onError: throttledWarning(log, 'PostgreSQL connection'),
  })
  lifecycle.onRelease('database', () => db.close())

  const counters = new IngestCounters(db, (error) =>
    log.debug({ error: errorMessage(error) }, 'counters not written, will be tried again'),
  )
  lifecycle.onRelease('counters', () => counters.close())
  const upkeep = new Upkeep({ db, deduplicationDays: env.DEDUPLICATION_WINDOW, log })
  lifecycle.onRelease('upkeep', () => upkeep.close())
  const metrics = createWorkerMetrics()
  let worker: Awaited<ReturnType<typeof startStatusWorker>> | undefined
  const server = await serveWorkerHttp({
    port: env.WORKER_PORT,
    host: env.HOST,
    registry: metrics.registry,
    isReady: () => (worker?.isTakingJobs && worker.isQueueWritable) ?? false,
  })
  lifecycle.onRelease('http', () => void server.close())

  const backend = queueBackendOf(env)
  await checkDurability(backend, env.STRICT_DURABILITY, log)
  const options = { recipientKey: env.RECIPIENT_KEY, countGroups: new CountGroups() }
  const store: Store = (events) => storeStatusEvents(db, events, options)

  worker = await startStatusWorker({
    db,
    backend,
    shards: env.QUEUE_SHARDS,
    ackReplicas: env.ACK_REPLICAS,
    recipientKey: env.RECIPIENT_KEY,
    concurrency: env.WORKER_CONCURRENCY,
    newerVersionWaitMs: env.UNKNOWN_VERSION_WAIT,
    store: hooks.wrapStore?.(store) ?? store,
    writers: WRITERS,
    count: countInBoth(metrics.count, counters),
    lifecycle,
    log,
    tracing,
    onWedged: () => log.flush(() => process.exit(70)),
  })
  watchStatusWorker(metrics.registry, worker)
  await startOutbound({
    db,
    backend,
    linkBaseUrl: env.APP_URL ?? env.API_URL,
    isQueueWritable: () => worker?.isQueueWritable ?? false,
    registry: metrics.registry,
    lifecycle,
    log,
  })
  warnAboutRecipientKey(env.RECIPIENT_KEY, log)
  log.info({ queue: backend.kind, shards: env.QUEUE_SHARDS, port: env.WORKER_PORT }, 'taking jobs')
  // Tells a parent with an IPC channel, such as npm start, that this process is the one that listens on the port.
  process.send?.('started')
}

/** Metrics count since this process started; the counter in PostgreSQL counts over all processes. */
function countInBoth(metrics: EventCounters, counters: IngestCounters): EventCounters {
  return {
    ...metrics,
    duplicate(events) {
      metrics.duplicate(events)
      counters.add({ duplicate: events })
    },
  }
}

async function checkDurability(backend: QueueBackend, strict: boolean, log: Logger): Promise<void> {
  if (backend.kind !== 'redis') return
  const redis = await connectRedis(backend, throttledWarning(log, 'Redis connection'))
  try {
    await warnAboutDurability(redis, strict, log)
  } finally {
    redis.disconnect()
  }
}
