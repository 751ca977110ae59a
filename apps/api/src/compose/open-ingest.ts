import { openDatabase, PLANS_FOR_MANY_ROWS } from '@tidings/db/database'
import { IngestCounters } from '@tidings/db/events/ingest-counters'
import { type QueueBackend, type QueueSettings, queueBackendOf } from '@tidings/queue/backend'
import { watchBackpressure } from '@tidings/queue/backpressure'
import { warnAboutDurability } from '@tidings/queue/durability'
import { openRedis } from '@tidings/queue/open-redis'
import { createPublisher, type StatusPublisher } from '@tidings/queue/publisher'
import { ConfigError } from '@tidings/runtime/env'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { errorMessage } from '@tidings/shared/errors'
import type { Tracing } from '@tidings/telemetry/tracing'
import { Counter, Gauge, type Registry } from 'prom-client'
import { type Ingest, QueueIngest } from '../status/ingest.ts'
import { followEvents, tracePublish } from '../status/trace-ingest.ts'

interface OpenIngestOptions {
  env: QueueSettings & {
    RECIPIENT_KEY: string
    QUEUE_SHARDS: number
    QUEUE_MAX_DEPTH: number
    ACK_REPLICAS: number
    STRICT_DURABILITY: boolean
  }
  registry: Registry
  lifecycle: Lifecycle
  log: Logger
  tracing?: Tracing | undefined
  /** Called when the API must not run: STRICT_DURABILITY is on and Redis can lose events. */
  onUnsafe?: ((error: ConfigError) => void) | undefined
}

/** Connections for writing to PostgreSQL while the queue is unreachable: few, with a short timeout. */
const DIRECT_CONNECTIONS = 4
const DIRECT_TIMEOUT_MS = 500

/** Opens the dependencies of accepting events, and registers the release of each. */
export function openIngest(options: OpenIngestOptions): { ingest: Ingest; publisher: StatusPublisher } {
  const { env, registry, lifecycle, log, tracing, onUnsafe } = options
  const direct = openDatabase({
    url: env.DATABASE_URL,
    applicationName: 'tidings-api-direct',
    maxConnections: DIRECT_CONNECTIONS,
    connectTimeoutMs: DIRECT_TIMEOUT_MS,
    statementTimeoutMs: DIRECT_TIMEOUT_MS,
    queryTimeoutMs: DIRECT_TIMEOUT_MS + 100,
    settings: PLANS_FOR_MANY_ROWS,
    onError: throttledWarning(log, 'PostgreSQL connection'),
  })
  lifecycle.onRelease('direct database', () => direct.close())

  const backend = queueBackendOf(env)
  const publisher = createPublisher({
    backend,
    shards: env.QUEUE_SHARDS,
    ackReplicas: env.ACK_REPLICAS,
    log,
    telemetry: tracing?.queueTelemetry,
  })
  lifecycle.onRelease('queue', () => publisher.close())
  checkDurability({ backend, strict: env.STRICT_DURABILITY, lifecycle, log, onUnsafe })

  const backpressure = watchBackpressure({ publisher, maxDepth: env.QUEUE_MAX_DEPTH })
  lifecycle.onRelease('backpressure', () => backpressure.close())

  const counters = new IngestCounters(direct, (error) =>
    log.debug({ error: errorMessage(error) }, 'counters not written, will be tried again'),
  )
  const accepted = new Counter({
    name: 'tidings_events_accepted_total',
    help: 'Events acknowledged, by where they were made durable.',
    labelNames: ['path'] as const,
    registers: [registry],
  })
  // Prometheus sees no increase in a series that begins above 0.
  for (const path of ['queue', 'direct', 'parked']) accepted.inc({ path }, 0)
  const queueJobs = new Gauge({
    name: 'tidings_queue_jobs',
    help: 'Jobs in the queue in any state, at the last poll.',
    registers: [registry],
    collect() {
      if (backpressure.depth !== undefined) this.set(backpressure.depth)
    },
  })
  // A gauge starts at 0, which would say that the queue is empty. Absent until the first poll.
  queueJobs.remove()
  new Gauge({
    name: 'tidings_queue_jobs_limit',
    help: 'QUEUE_MAX_DEPTH, at which the API refuses events.',
    registers: [registry],
  }).set(env.QUEUE_MAX_DEPTH)
  const ingest = new QueueIngest({
    publisher: tracing ? tracePublish(publisher, tracing) : publisher,
    backpressure,
    directDb: direct,
    recipientKey: env.RECIPIENT_KEY,
    counters,
    log,
    onAccepted: (events, path) => accepted.inc({ path }, events),
  })
  lifecycle.onRelease('counters', () => counters.close())
  lifecycle.onRelease('ingest', () => ingest.drain())
  return { ingest: tracing ? followEvents(ingest, tracing) : ingest, publisher }
}

interface DurabilityCheck extends Pick<OpenIngestOptions, 'lifecycle' | 'log' | 'onUnsafe'> {
  backend: QueueBackend
  strict: boolean
}

/**
 * Reads Redis's settings once, when Redis is first reached. It needs a connection that waits: on the publisher's
 * connection a slow Redis times out, and its settings would count as unknown.
 */
function checkDurability({ backend, strict, lifecycle, log, onUnsafe }: DurabilityCheck): void {
  if (backend.kind !== 'redis') return
  // The publisher's connection logs the same connection errors.
  const redis = openRedis(backend, 'patient', () => undefined)
  lifecycle.onRelease('queue settings', () => redis.disconnect())
  redis.once('ready', () => {
    warnAboutDurability(redis, strict, log)
      .catch((error: unknown) => {
        // Any other error means that the connection was closed first.
        if (!(error instanceof ConfigError)) return
        log.fatal({ error: errorMessage(error) }, 'refusing to run')
        onUnsafe?.(error)
      })
      .finally(() => redis.disconnect())
  })
}
