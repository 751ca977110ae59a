import { classifyFailure, isQueryError, sqlState, unwrapQueryError } from '@tidings/db/failure'
import { errorMessage } from '@tidings/shared/errors'

/** The reason of a failure for the log. Without PostgreSQL's own texts, which quote addresses, unless it is away. */
export function describeFailure(error: unknown): string {
  const found = unwrapQueryError(error)
  const code = sqlState(error)
  if (isQueryError(found)) return 'a statement failed'
  if (code === undefined || classifyFailure(error) === 'outage') return errorMessage(found)
  return `PostgreSQL refuses a statement (${code})`
}
