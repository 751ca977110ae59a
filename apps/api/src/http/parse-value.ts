import { AppError, type ErrorCode, type FieldError } from '@tidings/shared/errors'
import { escapePointer, findUnsafeJson } from '@tidings/shared/json'
import type { z } from 'zod'

/**
 * Checks a parsed JSON value: first for what no field may hold, then against `schema`.
 *
 * @param judgedLater a member of the value that is left to the schema alone.
 * @throws AppError with a JSON pointer for each problem; its texts hold nothing of the value.
 */
export function parseValue<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  judgedLater?: string,
): z.output<Schema> {
  const unsafe = findUnsafeJson(judgedLater === undefined ? value : without(judgedLater, value))
  if (unsafe !== undefined) {
    const field = { pointer: knownPart(unsafe.pointer), code: unsafe.code, message: unsafe.message }
    throw new AppError('validation_failed', unsafe.message, { fields: [field] })
  }
  const parsed = schema.safeParse(value, PARSE_OPTIONS)
  if (parsed.success) return parsed.data
  throw refuse(parsed.error.issues)
}

function without(member: string, value: unknown): unknown {
  return typeof value === 'object' && value !== null && member in value
    ? { ...value, [member]: undefined }
    : value
}

/** Our own texts: zod's can quote the caller. A text written in a schema goes before these. */
const PARSE_OPTIONS = { error: describeIssue, reportInput: false } as const

function describeIssue(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'This field is required.' : `Must be ${nameOf(issue.expected)}.`
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

const NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}
const nameOf = (expected: string) => NAMES[expected] ?? 'of another type'

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters long'
  return origin === 'array' ? ' items long' : ''
}

function refuse(issues: readonly z.core.$ZodIssue[]): AppError {
  const fields = issues.map(toFieldError)
  const [only] = issues
  const slug = issues.length === 1 && only !== undefined ? legacyErrorCode(only) : undefined
  const message = slug === undefined ? 'The request is not valid.' : (fields[0]?.message ?? '')
  return new AppError(slug ?? 'validation_failed', message, { fields })
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

/** Two problems that the seed's clients know by a name of their own. */
function legacyErrorCode(issue: z.core.$ZodIssue): ErrorCode | undefined {
  if (issue.code === 'custom' && issue.params?.code === 'missing_error') return 'missing_error'
  const isStatus = issue.path.length === 1 && issue.path[0] === 'status'
  return isStatus && issue.code === 'invalid_value' && codeOf(issue) !== 'required'
    ? 'invalid_status'
    : undefined
}

/** A pointer as far as it is made of names like ours: below that the keys are the caller's own text. */
function knownPart(pointer: string): string {
  return /^(\/([a-z_]{1,32}|\d{1,4}))*(?=\/|$)/.exec(pointer)?.[0] ?? ''
}
