import { openDatabase } from '@tidings/db/database'
import { runMain } from '@tidings/shared/env'
import { AppError, errorMessage } from '@tidings/shared/errors'
import { createLifecycle, exitOnSignal } from '@tidings/shared/lifecycle'
import { createLogger } from '@tidings/shared/log'
import { createApp } from './app.ts'
import { readEnv } from './env.ts'
import { createHealthProbes } from './health/probes.ts'
import { createAuthorize } from './http/authorize.ts'
import { createRegistry } from './http/metrics.ts'
import { serveHttp } from './http/server.ts'
import { createServiceKeyAuthenticator } from './http/service-keys.ts'
import { openIngest } from './status/open-ingest.ts'

await runMain(async () => {
  const env = readEnv(process.env)
  const log = createLogger('api', env.LOG_LEVEL)
  const lifecycle = createLifecycle(log)
  exitOnSignal(lifecycle, log)

  const db = openDatabase({
    url: env.DATABASE_URL,
    applicationName: 'tidings-api',
    maxConnections: 16,
    onError: (error) => log.warn({ error: errorMessage(error) }, 'idle database connection lost'),
  })
  lifecycle.onRelease('database', db.close)

  const serviceKeys = createServiceKeyAuthenticator({ db, log })
  lifecycle.onRelease('service keys', serviceKeys.close)

  const registry = createRegistry()
  const { ingest, publisher } = openIngest({ env, registry, lifecycle, log })
  const health = createHealthProbes({
    pingDatabase: () => db.pool.query('SELECT 1'),
    queueState: () => (publisher.isConnected ? 'up' : 'down'),
  })
  const app = createApp({
    log,
    registry,
    db,
    ingest,
    health,
    authorize: createAuthorize({
      authenticateService: serviceKeys.authenticate,
      authenticateUser: () => {
        throw new AppError('unauthorized', 'The access token is not valid.')
      },
    }),
    corsOrigins: env.CORS_ORIGINS,
  })
  const server = await serveHttp(app, { port: env.PORT, host: env.HOST })
  lifecycle.onRelease('http server', () => {
    health.stop()
    return server.close()
  })
  log.info({ url: server.url }, 'listening')
})
