import { setTimeout as sleep } from 'node:timers/promises'
import { createDeliverability } from '@tidings/accounts/deliverability'
import { openDatabase } from '@tidings/db/database'
import { addIngestCounts } from '@tidings/db/events/ingest-counters'
import { queueBackendOf } from '@tidings/queue/backend'
import { readBacklog } from '@tidings/queue/backlog'
import { tryWrite } from '@tidings/queue/try-write'
import type { Lifecycle } from '@tidings/runtime/lifecycle'
import type { Logger } from '@tidings/runtime/log'
import { warnAboutRecipientKey } from '@tidings/runtime/recipient-key'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import type { Tracing } from '@tidings/telemetry/tracing'
import { BoardThread } from './admin/board-thread.ts'
import { BOARD_PATH } from './admin/routes.ts'
import { createApp } from './app.ts'
import { createServiceKeyAuthenticator, sharedKeySchema } from './auth/service-keys.ts'
import { SHARED_TTL_MS } from './cache/lasting-cache.ts'
import { createSharedCache } from './cache/redis-cache.ts'
import { openAccounts } from './compose/open-accounts.ts'
import { openHooks } from './compose/open-hooks.ts'
import { openIngest } from './compose/open-ingest.ts'
import { openReplica } from './compose/open-replica.ts'
import type { Env } from './env.ts'
import { BacklogWatch, measureBacklog } from './health/backlog-watch.ts'
import { createHealthProbes } from './health/probes.ts'
import { createAuthorize } from './http/authorize.ts'
import { createReadStale } from './http/read-stale.ts'
import { createBrokenRequestCounter, createRegistry } from './http/request-metrics.ts'
import { type HttpServer, serveHttp } from './http/server.ts'
import { createUnsubscribeTokens } from './unsubscribe/unsubscribe-tokens.ts'

const DATABASE_CONNECTIONS = 16
/** A timer may fire this much late before the log complains. */
const READINESS_SLACK_MS = 5_000

interface StartOptions {
  tracing?: Tracing | undefined
  /** Called when Redis turns out to lose events and STRICT_DURABILITY is on. */
  onUnsafe?: ((error: Error) => void) | undefined
  /** The origin of a server that stands for Amazon SNS, in tests. */
  snsStandIn?: string | undefined
}

/**
 * Opens everything the API needs, registers each release, and serves. The stores need not be up: the API connects to
 * them when they are.
 *
 * @throws StartupError when it cannot listen, or when the signing keys cannot be read.
 */
export async function startApi(
  env: Env,
  log: Logger,
  lifecycle: Lifecycle,
  { tracing, onUnsafe, snsStandIn }: StartOptions = {},
): Promise<HttpServer> {
  const db = openDatabase({
    url: env.DATABASE_URL,
    applicationName: 'tidings-api',
    maxConnections: DATABASE_CONNECTIONS,
    onError: throttledWarning(log, 'PostgreSQL connection'),
  })
  lifecycle.onRelease('database', db.close)

  const registry = createRegistry()
  const { ingest, publisher } = openIngest({ env, registry, lifecycle, log, tracing, onUnsafe })
  const { redis } = publisher
  const backend = queueBackendOf(env)

  const serviceKeys = createServiceKeyAuthenticator({
    db,
    log,
    shared:
      redis &&
      createSharedCache(redis, {
        keyPrefix: `${env.QUEUE_PREFIX}:cache:service-key:v1:`,
        ttlMs: SHARED_TTL_MS,
        schema: sharedKeySchema,
      }),
  })
  lifecycle.onRelease('service keys', serviceKeys.close)

  const hooks = openHooks({ env, db, redis, ingest, registry, lifecycle, log, snsStandIn })

  const health = createHealthProbes({
    writeToDatabase: () => addIngestCounts(db, { accepted: 0 }),
    queueState: () => (publisher.isConnected ? 'up' : 'down'),
    writeToQueue:
      redis && backend.kind === 'redis' ? () => tryWrite(redis, backend, env.QUEUE_SHARDS) : undefined,
  })
  const backlog = new BacklogWatch(async () => {
    const { isConnected, queues, deadLetters } = publisher
    return isConnected && queues && deadLetters ? readBacklog(queues, deadLetters, backend.kind) : undefined
  })
  measureBacklog(backlog, registry)
  const admin = env.ADMIN_UI_ENABLED
    ? {
        db,
        authenticateService: serviceKeys.authenticate,
        board: new BoardThread(
          { backend, shards: env.QUEUE_SHARDS, basePath: BOARD_PATH },
          throttledWarning(log, 'board connection'),
        ),
      }
    : undefined
  lifecycle.onRelease('admin queues', () => admin?.board.close())
  const accounts = await openAccounts({ env, db, registry, lifecycle, log })
  const app = createApp({
    ...accounts,
    log,
    tracing,
    registry,
    db,
    readStale: createReadStale(
      db,
      openReplica(env.DATABASE_READ_URL, { primary: db, primaryUrl: env.DATABASE_URL, lifecycle, log }),
    ),
    ingest,
    hooks,
    recipientKey: env.RECIPIENT_KEY,
    askDeliverability: createDeliverability({ db, recipientKey: env.RECIPIENT_KEY }),
    unsubscribeTokens: createUnsubscribeTokens(env.RECIPIENT_KEY),
    publicUrl: env.API_URL,
    health,
    backlog,
    authorize: createAuthorize({
      authenticateService: serviceKeys.authenticate,
      authenticateUser: accounts.authenticateUser,
    }),
    corsOrigins: env.CORS_ORIGINS,
    appUrl: env.APP_URL,
    admin,
    devMailboxUrl: env.DEV_MAILBOX_URL,
  })
  const server = await serveHttp(app, {
    port: env.PORT,
    host: env.HOST,
    limits: { keepAliveMs: env.KEEP_ALIVE_TIMEOUT * 1000 },
    onBrokenRequest: createBrokenRequestCounter(registry),
  })
  warnAboutRecipientKey(env.RECIPIENT_KEY, log)
  lifecycle.onRelease('http server', () => server.close())
  // Released first: load balancers see "not ready" and send elsewhere before the port closes.
  const delayMs = env.SHUTDOWN_DELAY * 1000
  lifecycle.onRelease(
    'readiness',
    () => {
      health.stop()
      if (delayMs > 0) server.announceClose()
      return sleep(delayMs)
    },
    delayMs + READINESS_SLACK_MS,
  )
  return server
}
