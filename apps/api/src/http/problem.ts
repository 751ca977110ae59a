import type { ErrorCode, FieldError } from '@tidings/shared/errors'
import { z } from 'zod'
import { type ConnectionErrorCode, definitionOf } from './error-codes.ts'

export const statusOf = (code: ErrorCode): number => definitionOf(code).status

export const fieldErrorSchema = z
  .strictObject({ pointer: z.string(), code: z.string(), message: z.string() })
  .meta({ id: 'FieldError' })

/** The body of a failure: the Django service's envelope and an RFC 9457 problem document in one. */
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
  errors: z.array(fieldErrorSchema),
})
export type Problem = z.infer<typeof problemSchema>

export function createProblem(
  code: ErrorCode | ConnectionErrorCode,
  message: string,
  requestId: string,
  fields: readonly FieldError[] = [],
): Problem {
  const { status, title } = definitionOf(code)
  return {
    type: `urn:tidings:problem:${code.replaceAll('_', '-')}`,
    title,
    status,
    detail: message,
    instance: requestId,
    success: false,
    error: code,
    message,
    data: messagesByField(fields),
    errors: [...fields],
  }
}

/** Clients of the Django service read `data.<field>[0]`. Nested fields are joined with dots; `body` is the whole body. */
function messagesByField(fields: readonly FieldError[]): Record<string, string[]> {
  const messages: Record<string, string[]> = {}
  for (const { pointer, message } of fields) {
    const field = pointer === '' ? 'body' : pointer.slice(1).replaceAll('/', '.')
    messages[field] ??= []
    messages[field].push(message)
  }
  return messages
}
