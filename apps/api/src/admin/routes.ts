import { randomUUID } from 'node:crypto'
import type { Database } from '@tidings/db/database'
import { insertAudit } from '@tidings/db/operators/audit'
import { AUDIT_DELETE, AUDIT_STARTED } from '@tidings/db/operators/audit-actions'
import { DEAD_LETTER_QUEUE, STATUS_QUEUE } from '@tidings/queue/policy'
import { AppError } from '@tidings/shared/errors'
import { Hono } from 'hono'
import { auth } from 'hono/utils/basic-auth'
import { requireScope } from '../http/authorize.ts'
import type { ApiContext, ApiEnv } from '../http/context.ts'
import type { Authenticate, ServicePrincipal } from '../http/principal.ts'
import type { BoardThread } from './board-thread.ts'

export interface AdminRouteDeps {
  db: Database
  authenticateService: Authenticate<ServicePrincipal>
  board: BoardThread
}

export const BOARD_PATH = '/admin/queues'

/** Changes that the board may make. All others could lose events, so operators use the CLI. */
const ALLOWED_CHANGES = [
  new RegExp(`^/api/queues/${STATUS_QUEUE}(-\\d+)?/[\\w-]+/(retry(/\\w+)?|promote)$`),
  new RegExp(`^/api/queues/${STATUS_QUEUE}(-\\d+)?/(retry/failed|promote|pause|resume)$`),
  new RegExp(`^/api/queues/${DEAD_LETTER_QUEUE}(-\\d+)?/[\\w-]+/clean$`),
]
/** Blocks the fonts that the page would load from another site. */
const CONTENT_POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; form-action 'none'"
/** A page takes seconds where jobs are large. The page itself asks for up to 300. */
const MAX_JOBS_PER_PAGE = 50
const DELETION = new RegExp(`^/api/queues/${DEAD_LETTER_QUEUE}(?:-\\d+)?/([\\w-]+)/clean$`)

/**
 * Bull Board at /admin/queues. The Basic password is a service key. `dlq:read` may look. `dlq:write` may also make the
 * ALLOWED_CHANGES, each recorded in the audit table before and after.
 */
export function adminRoutes(deps: AdminRouteDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>({ strict: false })

  app.all(`${BOARD_PATH}/*`, async (c) => {
    const principal = await authenticateOperator(c, deps)
    if (principal === undefined) {
      return c.text('This needs an operator key as the password.', 401, {
        'WWW-Authenticate': 'Basic realm="Tidings queues", charset="UTF-8"',
      })
    }
    requireScope(principal, 'dlq:read')
    const isChange = c.req.method !== 'GET' && c.req.method !== 'HEAD'
    const path = c.req.path.slice(BOARD_PATH.length)
    if (isChange) assertAllowed(c, principal, path)

    const access = { readOnly: !principal.scopes.has('dlq:write') }
    const answer = isChange
      ? await auditChange(deps.db, principal, path, () => deps.board.fetch(c.req.raw, access))
      : await deps.board.fetch(capPage(c.req.raw), access)
    if (answer.status >= 500) throw toRefusal(await answer.text())
    const response = new Response(answer.body, answer)
    response.headers.set('Content-Security-Policy', CONTENT_POLICY)
    return response
  })
  return app
}

async function authenticateOperator(
  c: ApiContext,
  deps: AdminRouteDeps,
): Promise<ServicePrincipal | undefined> {
  const credentials = auth(c.req.raw)
  if (credentials === undefined) return undefined
  try {
    // The lookup's duration reveals nothing about the key: see auth/service-keys.ts.
    return await deps.authenticateService(credentials.password)
  } catch (error) {
    if (error instanceof AppError && error.code === 'unauthorized') return undefined
    throw error
  }
}

/** BullMQ's errors when a job is in another state than the change needs, locked by a worker, or gone. */
const JOB_MOVED_ON = /is not in the [\w-]+ state|locked by another worker|Missing key for job/

/** Bull Board answers every failure with 500 and quotes the store's error. */
function toRefusal(internal: string): AppError {
  if (JOB_MOVED_ON.test(internal))
    return new AppError('conflict', 'The job is not in the state that this needs. Load the page again.', {
      internal,
    })
  return new AppError('unavailable', 'The queue refuses or does not answer. Try again shortly.', { internal })
}

/** Limits the `jobsPerPage` of a request to MAX_JOBS_PER_PAGE. */
function capPage(request: Request): Request {
  const url = new URL(request.url)
  if (!(Number(url.searchParams.get('jobsPerPage')) > MAX_JOBS_PER_PAGE)) return request
  url.searchParams.set('jobsPerPage', String(MAX_JOBS_PER_PAGE))
  return new Request(url, request)
}

/** @throws AppError `forbidden` */
function assertAllowed(c: ApiContext, principal: ServicePrincipal, path: string): void {
  requireScope(principal, 'dlq:write')
  // A browser attaches Basic credentials to requests from other sites too (CSRF).
  const site = c.req.header('sec-fetch-site')
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new AppError('forbidden', 'Changes must come from this page.')
  if (!ALLOWED_CHANGES.some((allowed) => allowed.test(path)))
    throw new AppError(
      'forbidden',
      'The board cannot make this change. Use the command line: tidings dlq --help.',
    )
}

/**
 * Makes a change between two rows of the audit table: before it, and how it ended. A deletion has the same action as
 * one by the CLI, so that reports count it. If the first row cannot be written, nothing is changed.
 */
async function auditChange(
  db: Database,
  principal: ServicePrincipal,
  path: string,
  change: () => Promise<Response>,
): Promise<Response> {
  const run = randomUUID()
  const deleted = DELETION.exec(path)?.[1]
  const write = (changed: number, result: string) =>
    insertAudit(db, {
      actor: principal.name,
      action: deleted === undefined ? 'board' : AUDIT_DELETE,
      selector: deleted === undefined ? { run, path } : { run, ids: [deleted], via: 'board' },
      matched: 1,
      changed,
      result,
    })
  await write(0, AUDIT_STARTED)
  const answer = await change().catch(async (error: unknown) => {
    await write(0, 'failed')
    throw error
  })
  await write(answer.ok ? 1 : 0, answer.ok ? 'done' : 'failed')
  return answer
}
