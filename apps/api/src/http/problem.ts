import type { AppError, ErrorCode, FieldError } from '@tidings/shared/errors'
import { z } from 'zod'

export const PROBLEM_CONTENT_TYPE = 'application/problem+json'

/** The one place that knows which status a domain error has, and its title. */
const STATUS_BY_CODE = {
  malformed_json: [400, 'Malformed JSON'],
  invalid_encoding: [400, 'Invalid encoding'],
  validation_failed: [400, 'Validation failed'],
  invalid_status: [400, 'Invalid status'],
  invalid_notification_type: [400, 'Invalid notification type'],
  missing_error: [400, 'Missing error'],
  unauthorized: [401, 'Unauthorized'],
  invalid_credentials: [401, 'Invalid credentials'],
  forbidden: [403, 'Forbidden'],
  not_found: [404, 'Not found'],
  method_not_allowed: [405, 'Method not allowed'],
  conflict: [409, 'Conflict'],
  email_taken: [409, 'E-mail taken'],
  payload_too_large: [413, 'Payload too large'],
  unsupported_media_type: [415, 'Unsupported media type'],
  rate_limited: [429, 'Too many requests'],
  overloaded: [503, 'Overloaded'],
  unavailable: [503, 'Unavailable'],
  internal_error: [500, 'Internal error'],
} as const satisfies Record<ErrorCode, readonly [status: number, title: string]>

export const statusOf = (code: ErrorCode) => STATUS_BY_CODE[code][0]

/** A failure as it is sent: the seed's envelope and an RFC 9457 problem in one body. */
export const problemSchema = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string().describe("The request's id."),
  success: z.literal(false),
  error: z.string(),
  message: z.string(),
  data: z.record(z.string(), z.array(z.string())).describe('Messages by field; empty when none is to blame.'),
  errors: z.array(z.strictObject({ pointer: z.string(), code: z.string(), message: z.string() })),
})
export type Problem = z.infer<typeof problemSchema>

/** A problem whose text is fixed here: for what fails before there is a request to handle. */
export function createProblem(
  status: number,
  slug: string,
  title: string,
  detail: string,
  requestId: string,
  fields: readonly FieldError[] = [],
): Problem {
  return {
    type: `urn:tidings:problem:${slug.replaceAll('_', '-')}`,
    title,
    status,
    detail,
    instance: requestId,
    success: false,
    error: slug,
    message: detail,
    data: messagesByField(fields),
    errors: [...fields],
  }
}

export function problemOf(error: AppError, requestId: string): Problem {
  const [status, title] = STATUS_BY_CODE[error.code]
  return createProblem(status, error.code, title, error.message, requestId, error.fields)
}

/** The seed's clients read `data.<field>[0]`. A nested field is named with dots, the body itself `body`. */
function messagesByField(fields: readonly FieldError[]): Record<string, string[]> {
  const messages: Record<string, string[]> = {}
  for (const { pointer, message } of fields) {
    const field = pointer === '' ? 'body' : pointer.slice(1).replaceAll('/', '.')
    messages[field] ??= []
    messages[field].push(message)
  }
  return messages
}
