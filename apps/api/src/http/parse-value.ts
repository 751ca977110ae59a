import { AppError, type ErrorCode, type FieldError } from '@tidings/shared/errors'
import { escapePointer, findUnsafeJson } from '@tidings/shared/json'
import type { z } from 'zod'

/**
 * Validates a parsed JSON value: first for content that no field may hold, then against `schema`.
 *
 * @param uncheckedMember name of a member that only the schema checks.
 * @throws AppError with a JSON pointer for each problem. Its messages never repeat the value.
 */
export function parseValue<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  uncheckedMember?: string,
): z.output<Schema> {
  const unsafe = findUnsafeJson(uncheckedMember === undefined ? value : omit(uncheckedMember, value))
  if (unsafe !== undefined) {
    const field = { pointer: knownPart(unsafe.pointer), code: unsafe.code, message: unsafe.message }
    throw new AppError('validation_failed', unsafe.message, { fields: [field] })
  }
  const parsed = schema.safeParse(value, PARSE_OPTIONS)
  if (parsed.success) return parsed.data
  throw toAppError(parsed.error.issues)
}

/** A copy of an object without the member; any other value as it is. */
export function omit(member: string, value: unknown): unknown {
  return typeof value === 'object' && value !== null && member in value
    ? { ...value, [member]: undefined }
    : value
}

/** Replaces zod's messages, which can quote the caller's value. A message set in a schema takes precedence. */
const PARSE_OPTIONS = { error: describeIssue, reportInput: false } as const

function describeIssue(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'This field is required.' : `Must be ${typeName(issue.expected)}.`
    case 'invalid_value':
      if (issue.input === undefined) return 'This field is required.'
      return `Must be one of: ${issue.values.join(', ')}.`
    case 'too_big':
      return `Must be at most ${issue.maximum}${unitOf(issue.origin)}.`
    case 'too_small':
      return `Must be at least ${issue.minimum}${unitOf(issue.origin)}.`
    case 'unrecognized_keys':
      return 'Unknown fields are not allowed here.'
    default:
      return 'This value is not valid.'
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}
const typeName = (expected: string) => TYPE_NAMES[expected] ?? 'of another type'

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters long'
  return origin === 'array' ? ' items long' : ''
}

function toAppError(issues: readonly z.core.$ZodIssue[]): AppError {
  const fields = issues.map(toFieldError)
  const [only] = issues
  const code = issues.length === 1 && only !== undefined ? legacyErrorCode(only) : undefined
  const message = code === undefined ? 'The request is not valid.' : (fields[0]?.message ?? '')
  return new AppError(code ?? 'validation_failed', message, { fields })
}

function toFieldError(issue: z.core.$ZodIssue): FieldError {
  const pointer = issue.path.map((segment) => `/${escapePointer(String(segment))}`).join('')
  return { pointer: knownPart(pointer), code: codeOf(issue), message: issue.message }
}

function codeOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'custom') return typeof issue.params?.code === 'string' ? issue.params.code : 'invalid'
  if (issue.message === 'This field is required.') return 'required'
  return issue.code
}

/** Two problems have an error code from the Django service, which its clients rely on. */
function legacyErrorCode(issue: z.core.$ZodIssue): ErrorCode | undefined {
  if (issue.code === 'custom' && issue.params?.code === 'missing_error') return 'missing_error'
  const isStatus = issue.path.length === 1 && issue.path[0] === 'status'
  return isStatus && issue.code === 'invalid_value' && codeOf(issue) !== 'required'
    ? 'invalid_status'
    : undefined
}

/** Cuts a pointer at the first segment that does not look like a field name: that segment is the caller's own text. */
function knownPart(pointer: string): string {
  return /^(\/([a-z_]{1,32}|\d{1,4}))*(?=\/|$)/.exec(pointer)?.[0] ?? ''
}
