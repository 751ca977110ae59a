import type { Logger } from '@tidings/runtime/log'
import type { Tracing } from '@tidings/telemetry/tracing'
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import type { Registry } from 'prom-client'
import { type AccountRouteDeps, accountRoutes } from './accounts/account-routes.ts'
import { type ExportRouteDeps, exportRoutes } from './accounts/export-routes.ts'
import { accountOperations } from './accounts/openapi.ts'
import { type AdminRouteDeps, adminRoutes } from './admin/routes.ts'
import { devMailboxRoutes } from './dev-mailbox/routes.ts'
import { type DeviceRouteDeps, deviceRoutes } from './devices/device-routes.ts'
import { deviceOperations } from './devices/openapi.ts'
import { type EmailLinkRouteDeps, emailLinkRoutes } from './email-links/email-link-routes.ts'
import { emailLinkOperations } from './email-links/openapi.ts'
import { linkPageRoutes } from './email-links/pages/page-routes.ts'
import { type HealthDeps, healthOperations, healthRoutes } from './health/routes.ts'
import { type HookRouteDeps, hookRoutes } from './hooks/hook-routes.ts'
import { hookOperations } from './hooks/openapi.ts'
import type { Authorize } from './http/authorize.ts'
import type { ApiEnv } from './http/context.ts'
import { createErrorHandler } from './http/error-response.ts'
import { createInstrument, type RouteHandler } from './http/instrument.ts'
import { hasKnownQuery, refuseUnknownQuery } from './http/known-query.ts'
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
import { searchOperations } from './status/search-openapi.ts'
import { type SearchDeps, searchRoutes } from './status/search-routes.ts'
import { suppressionOperations } from './suppressions/openapi.ts'
import { type SuppressionRouteDeps, suppressionRoutes } from './suppressions/suppression-routes.ts'
import { unsubscribeOperations } from './unsubscribe/openapi.ts'
import { type UnsubscribeRouteDeps, unsubscribeRoutes } from './unsubscribe/unsubscribe-routes.ts'
import { userOperations } from './users/openapi.ts'
import { type UserRouteDeps, userRoutes } from './users/user-routes.ts'

/** Everything the routes need: the Deps of every feature and the shared parts. */
export interface AppDeps
  extends HealthDeps,
    AccountRouteDeps,
    ExportRouteDeps,
    EmailLinkRouteDeps,
    UserRouteDeps,
    DeviceRouteDeps,
    SessionRouteDeps,
    ReportDeps,
    StatusReadDeps,
    SearchDeps,
    SuppressionRouteDeps,
    UnsubscribeRouteDeps,
    HookRouteDeps,
    StatsDeps {
  log: Logger
  /** Undefined when tracing is off. */
  tracing?: Tracing | undefined
  registry: Registry
  authorize: Authorize
  /** Exact origins that browsers may call from. An empty list turns CORS off. */
  corsOrigins: readonly string[]
  /** Where an application answers the links in messages. Undefined: the API has pages for them. */
  appUrl: string | undefined
  /** Bull Board at /admin/queues. Undefined while ADMIN_UI_ENABLED is false. */
  admin?: AdminRouteDeps | undefined
  /** The mailbox to show at /dev/mailbox. Undefined everywhere but in npm start. */
  devMailboxUrl?: string | undefined
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
      const guarded = guardQuery(method, path, handler as RouteHandler)
      target.on(method, path.replace(':id', ID), instrument(path, guarded))
    }
  }

  function guardQuery(method: string, path: string, handler: RouteHandler): RouteHandler {
    if (!hasKnownQuery(method, path)) return handler
    const operation = operations.find((each) => each.method.toUpperCase() === method && each.path === path)
    return refuseUnknownQuery(operation ?? { access: 'public' }, deps.authorize, handler)
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
    exportRoutes(deps),
    userRoutes(deps),
    deviceRoutes(deps),
    sessionRoutes(deps),
    emailLinkRoutes(deps),
    ...(deps.appUrl === undefined ? [linkPageRoutes(deps)] : []),
    reportRoutes(deps),
    statusReadRoutes(deps),
    searchRoutes(deps),
    suppressionRoutes(deps),
    unsubscribeRoutes(deps),
    hookRoutes(deps),
    statsRoutes(deps),
    metricsRoutes(deps),
    docsRoutes(operations),
    ...(deps.admin ? [adminRoutes(deps.admin)] : []),
    ...(deps.devMailboxUrl ? [devMailboxRoutes(deps.devMailboxUrl)] : []),
  ]
}

/** The source of /openapi.json. A test compares it with the routes. */
const operations: readonly Operation[] = [
  ...healthOperations,
  ...accountOperations,
  ...userOperations,
  ...deviceOperations,
  ...sessionOperations,
  ...emailLinkOperations,
  ...statusOperations,
  ...searchOperations,
  ...suppressionOperations,
  ...unsubscribeOperations,
  ...hookOperations,
  ...statsOperations,
  ...metricsOperations,
]
