import type { Logger } from '@tidings/shared/log'
import type { Tracing } from '@tidings/telemetry/tracing'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import type { Registry } from 'prom-client'
import { type AdminRouteDeps, adminRoutes } from './admin/routes.ts'
import { sessionOperations } from './auth/operations.ts'
import { type SessionRouteDeps, sessionRoutes } from './auth/session-routes.ts'
import type { Operation } from './docs/operation.ts'
import { docsRoutes } from './docs/routes.ts'
import { type HealthDeps, healthOperations, healthRoutes } from './health/routes.ts'
import type { Authorize } from './http/authorize.ts'
import type { ApiEnv } from './http/context.ts'
import { createErrorHandler } from './http/error-response.ts'
import { instrument } from './http/instrument.ts'
import { createRequestMetrics } from './http/metrics.ts'
import { metricsOperations, metricsRoutes } from './http/metrics-route.ts'
import { traceRequests } from './http/trace-requests.ts'
import { createUnmatchedHandler } from './http/unmatched.ts'
import { statusOperations } from './status/operations.ts'
import { type StatusReadDeps, statusReadRoutes } from './status/read-routes.ts'
import { type ReportDeps, reportRoutes } from './status/report-routes.ts'
import { type AccountRouteDeps, accountRoutes } from './users/account-routes.ts'
import { userOperations } from './users/operations.ts'
import { type UserRouteDeps, userRoutes } from './users/user-routes.ts'

/** Everything the routes need. Each feature says what it needs of this in a Deps interface of its own. */
export interface AppDeps
  extends HealthDeps,
    AccountRouteDeps,
    UserRouteDeps,
    SessionRouteDeps,
    ReportDeps,
    StatusReadDeps {
  log: Logger
  /** Undefined while nothing is traced. */
  tracing?: Tracing | undefined
  registry: Registry
  authorize: Authorize
  /** Exact origins that browsers may call from; none turns CORS off. */
  corsOrigins: readonly string[]
  /** Bull Board at /admin/queues; absent while ADMIN_UI_ENABLED is off. */
  admin?: AdminRouteDeps | undefined
}

/**
 * The whole HTTP application, without a server. It needs Node's request in `c.env`, so serve it with
 * createHttpServer, in tests too. Register routes without a trailing slash: each answers with and without.
 */
export function createApp(deps: AppDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })
  app.onError(createErrorHandler(deps.log))
  app.notFound(createUnmatchedHandler(app))
  if (deps.tracing) app.use(traceRequests(deps.tracing))
  app.use(instrument(deps.log, createRequestMetrics(deps.registry)))
  if (deps.corsOrigins.length > 0) {
    app.use(cors({ origin: [...deps.corsOrigins], exposeHeaders: ['X-Request-Id', 'ETag', 'Retry-After'] }))
  }

  app.route('/', healthRoutes(deps))
  app.route('/', accountRoutes(deps))
  app.route('/', userRoutes(deps))
  app.route('/', sessionRoutes(deps))
  app.route('/', reportRoutes(deps))
  app.route('/', statusReadRoutes(deps))
  app.route('/', metricsRoutes(deps))
  app.route('/', docsRoutes(operations))
  if (deps.admin) app.route('/', adminRoutes(deps.admin))
  return app
}

/** What the mounted routes promise; /openapi.json is made of it, and a test compares it with the routes. */
const operations: readonly Operation[] = [
  ...healthOperations,
  ...userOperations,
  ...sessionOperations,
  ...statusOperations,
  ...metricsOperations,
]
