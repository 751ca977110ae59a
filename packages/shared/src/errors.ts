/**
 * Names of all refusals. The API's error table (apps/api/src/http/error-codes.ts) gives each a status, a description
 * and what the client does next; docs/error-codes.md is generated from it.
 */
export type ErrorCode =
  | 'malformed_json'
  | 'invalid_encoding'
  | 'validation_failed'
  | 'invalid_status'
  | 'invalid_notification_type'
  | 'missing_error'
  | 'invalid_token'
  | 'unauthorized'
  | 'invalid_credentials'
  | 'forbidden'
  | 'reauthentication_required'
  | 'email_not_verified'
  | 'not_found'
  | 'method_not_allowed'
  | 'conflict'
  | 'email_taken'
  | 'payload_too_large'
  | 'unsupported_media_type'
  | 'rate_limited'
  | 'not_verified'
  | 'overloaded'
  | 'unavailable'
  | 'internal_error'

export interface FieldError {
  /** JSON pointer into the body. */
  pointer: string
  code: string
  message: string
}

/**
 * A refusal. `message` goes to the caller: it never repeats the caller's values and reveals nothing internal.
 * `internal` goes to the log only. Independent of HTTP.
 */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly fields: readonly FieldError[]
  readonly internal: string | undefined
  /** Seconds after which the same request may succeed. */
  readonly retryAfterSeconds: number | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      fields?: readonly FieldError[]
      internal?: string
      retryAfterSeconds?: number
      cause?: unknown
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AppError'
    this.code = code
    this.fields = options.fields ?? []
    this.internal = options.internal
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}

/** The message of an Error, or the thrown value as text. A host with several addresses fails with one error for each. */
export function errorMessage(error: unknown): string {
  if (error instanceof AggregateError && error.message === '')
    return error.errors.map(errorMessage).join(', ')
  return error instanceof Error ? error.message : String(error)
}
