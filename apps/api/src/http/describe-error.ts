import { isQueryError } from '@tidings/db/failure'
import pg from 'pg'

/** An unexpected error as the log shows it. */
export interface ErrorDescription {
  type: string
  message: string
  /** SQLSTATE or errno. */
  code?: string
  constraint?: string
  frames: string[]
  cause?: ErrorDescription
}

/**
 * Describes an error without the data that caused it. PostgreSQL quotes values in messages, and the query builder
 * prints every parameter: passwords and addresses would reach the log.
 */
export function describeError(error: unknown, depth = 0): ErrorDescription {
  if (!(error instanceof Error))
    return { type: typeof error, message: 'a value that is not an Error', frames: [] }
  const { code } = error as { code?: unknown }
  return {
    type: error.name,
    message: safeMessage(error),
    ...(typeof code === 'string' && { code }),
    ...(error instanceof pg.DatabaseError && error.constraint && { constraint: error.constraint }),
    frames: (error.stack ?? '')
      .split('\n')
      .filter((line) => line.startsWith('    at '))
      .map((line) => line.trim()),
    ...(error.cause !== undefined && depth < 3 && { cause: describeError(error.cause, depth + 1) }),
  }
}

function safeMessage(error: Error): string {
  if (isQueryError(error)) return error.message.replace(/\nparams:[\s\S]*$/, '')
  if (error instanceof pg.DatabaseError) return error.message.replace(/"[^"]*"|'[^']*'/g, '"…"')
  if (error instanceof SyntaxError) return 'syntax error'
  return error.message
}
