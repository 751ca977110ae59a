/** Every way a request to this system can be refused, by name. The API maps each to a status once. */
export const ERROR_CODES = [
  'malformed_json',
  'invalid_encoding',
  'validation_failed',
  'invalid_status',
  'invalid_notification_type',
  'missing_error',
  'unauthorized',
  'invalid_credentials',
  'forbidden',
  'not_found',
  'method_not_allowed',
  'conflict',
  'email_taken',
  'payload_too_large',
  'unsupported_media_type',
  'rate_limited',
  'overloaded',
  'unavailable',
  'internal_error',
] as const
export type ErrorCode = (typeof ERROR_CODES)[number]

export interface FieldError {
  /** JSON pointer into the body. */
  pointer: string
  code: string
  message: string
}

/**
 * A refusal with two texts: `message` is for the caller and holds no value of theirs and nothing internal;
 * `internal` goes to the log only. Knows no HTTP.
 */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly fields: readonly FieldError[]
  readonly internal: string | undefined
  /** Seconds after which a repeat may succeed. */
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

/** The text of anything thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
