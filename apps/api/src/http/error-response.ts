import { classifyFailure, sqlState } from '@tidings/db/failure'
import { PROBLEM_CONTENT_TYPE } from '@tidings/runtime/broken-request'
import type { Logger } from '@tidings/runtime/log'
import { AppError, type ErrorCode } from '@tidings/shared/errors'
import type { ApiContext, Page } from './context.ts'
import { describeError } from './describe-error.ts'
import { createProblem, type Problem, statusOf } from './problem.ts'

/** `Retry-After` of a refusal that does not set one. */
const DEFAULT_RETRY_AFTER_SECONDS = 1

/** SQLSTATEs of contention or slowness. Nothing was changed, and the same request may succeed later. */
const TRANSIENT_STATES: ReadonlySet<string | undefined> = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available
  '57014', // query_canceled, by statement_timeout
])

/**
 * Creates the function that answers a thrown error. Only the messages of AppErrors reach the caller.
 *
 * @param countRefusal gets the pattern of the route, and the code of the answer.
 */
export function createErrorHandler(log: Logger, countRefusal: (route: string, error: ErrorCode) => void) {
  return (thrown: unknown, c: ApiContext): Response => {
    const error = toAppError(thrown)
    const { requestId } = c.env.outgoing
    countRefusal(c.env.route ?? '/*', error.code)
    if (error.code === 'internal_error') {
      log.error({ requestId, route: c.env.route, error: describeError(thrown) }, 'request failed')
    } else if (error.code === 'unavailable' || error.internal !== undefined) {
      log.debug({ requestId, reason: error.internal, error: describeError(thrown) }, 'request refused')
    }
    const page = c.env.showError?.(error)
    return page === undefined ? respondWithError(error, requestId) : respondWithPage(page, error)
  }
}

function respondWithPage({ html, headers }: Page, error: AppError): Response {
  const status = statusOf(error.code)
  return new Response(html, { status, headers: { ...headers, ...headersOf(error, status) } })
}

function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown
  if (classifyFailure(thrown) === 'outage') {
    return new AppError('unavailable', 'The service cannot reach its storage. Try again shortly.')
  }
  if (TRANSIENT_STATES.has(sqlState(thrown))) {
    return new AppError('unavailable', 'The service is too busy for this. Try again shortly.')
  }
  return new AppError('internal_error', 'Something went wrong on our side.')
}

export function respondWithError(error: AppError, requestId: string): Response {
  const problem = createProblem(error.code, error.message, requestId, error.fields)
  return respondWithProblem(problem, headersOf(error, problem.status))
}

export function respondWithProblem(problem: Problem, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { 'content-type': PROBLEM_CONTENT_TYPE, ...headers },
  })
}

function headersOf(error: AppError, status: number): Record<string, string> {
  if (status === 401) return { 'www-authenticate': 'Bearer realm="tidings"' }
  if (status === 429 || status === 503) {
    const seconds = Math.max(1, Math.ceil(error.retryAfterSeconds ?? DEFAULT_RETRY_AFTER_SECONDS))
    return { 'retry-after': String(seconds) }
  }
  return {}
}
