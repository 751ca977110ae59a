import type { Logger } from '@tidings/runtime/log'
import type { Tracing } from '@tidings/telemetry/tracing'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import type { Registry } from 'prom-client'
import { type AccountRouteDeps, accountRoutes } from './accounts/account-routes.ts'
import { accountOperations } from './accounts/openapi.ts'
import { type AdminRouteDeps, adminRoutes } from './admin/routes.ts'
import { type HealthDeps, healthOperations, healthRoutes } from './health/routes.ts'
import type { Authorize } from './http/authorize.ts'
import type { ApiEnv } from './http/context.ts'
import { createErrorHandler } from './http/error-response.ts'
import { createInstrument, type RouteHandler } from './http/instrument.ts'
import { createRefusalCounter, createRequestMetrics } from './http/request-metrics.ts'
import { traceRequests } from './http/trace-requests.ts'
import { createUnmatchedHandler } from './http/unmatched.ts'
import { metricsOperations, metricsRoutes } from './metrics/metrics-route.ts'
import type { Operation } from './openapi/operation.ts'
import { docsRoutes } from './openapi/routes.ts'
import { sessionOperations } from './sessions/openapi.ts'
import { type SessionRouteDeps, sessionRoutes } from './sessions/session-routes.ts'
import { statsOperations } from './statistics/openapi.ts'
import { type StatsDeps, statsRoutes } from './statistics/stats-routes.ts'
import { statusOperations } from './status/openapi.ts'
import { type StatusReadDeps, statusReadRoutes } from './status/read-routes.ts'
import { type ReportDeps, reportRoutes, unknownTypeRoutes } from './status/report-routes.ts'
import { userOperations } from './users/openapi.ts'
import { type UserRouteDeps, userRoutes } from './users/user-routes.ts'

/** Everything the routes need: the Deps of every feature and the shared parts. */
export interface AppDeps
  extends HealthDeps,
    AccountRouteDeps,
    UserRouteDeps,
    SessionRouteDeps,
    ReportDeps,
    StatusReadDeps,
    StatsDeps {
  log: Logger
  /** Undefined when tracing is off. */
  tracing?: Tracing | undefined
  registry: Registry
  authorize: Authorize
  /** Exact origins that browsers may call from. An empty list turns CORS off. */
  corsOrigins: readonly string[]
  /** Bull Board at /admin/queues. Undefined while ADMIN_UI_ENABLED is false. */
  admin?: AdminRouteDeps | undefined
}

/** Pattern of `:id` in paths. It does not match fixed names: otherwise GET /users/login would be a user route. */
const ID = ':id{[0-9a-fA-F-]+|me}'

/**
 * Creates the HTTP application without a server. Serve it with serveHttp, which puts Node's request into `c.env`.
 * Register routes without a trailing slash: each then answers with and without one.
 */
export function createApp(deps: AppDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })
  const answerError = createErrorHandler(deps.log, createRefusalCounter(deps.registry))
  const instrument = createInstrument(deps.log, createRequestMetrics(deps.registry), answerError)
  // Hono's fast router cannot match a parameter beside a fixed name, and POST has both. These routes match last.
  const last = new Hono<ApiEnv>({ strict: false })
  function mount(routes: Hono<ApiEnv>) {
    for (const { method, path, handler } of routes.routes) {
      const target = method === 'POST' && path.includes('/:') ? last : app
      target.on(method, path.replace(':id', ID), instrument(path, handler as RouteHandler))
    }
  }

  app.onError(answerError)
  app.notFound((c) => last.fetch(c.req.raw, c.env))
  last.notFound(instrument('/*', createUnmatchedHandler([app, last])))
  if (deps.tracing) app.use(traceRequests(deps.tracing))
  if (deps.corsOrigins.length > 0) {
    const allowOrigins = cors({
      origin: [...deps.corsOrigins],
      exposeHeaders: ['X-Request-Id', 'ETag', 'Retry-After'],
    })
    app.options(
      '*',
      instrument('/*', (c) => allowOrigins(c, async () => {}) as Promise<Response>),
    )
    app.use(allowOrigins)
  }
  for (const routes of createRoutes(deps)) mount(routes)
  mount(unknownTypeRoutes(deps))
  return app
}

/** The routes of every feature. */
export function createRoutes(deps: AppDeps): Hono<ApiEnv>[] {
  return [
    healthRoutes(deps),
    accountRoutes(deps),
    userRoutes(deps),
    sessionRoutes(deps),
    reportRoutes(deps),
    statusReadRoutes(deps),
    statsRoutes(deps),
    metricsRoutes(deps),
    docsRoutes(operations),
    ...(deps.admin ? [adminRoutes(deps.admin)] : []),
  ]
}

/** The source of /openapi.json. A test compares it with the routes. */
const operations: readonly Operation[] = [
  ...healthOperations,
  ...accountOperations,
  ...userOperations,
  ...sessionOperations,
  ...statusOperations,
  ...statsOperations,
  ...metricsOperations,
]
