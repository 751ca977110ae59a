import type { z } from 'zod'
import { AppError, type ErrorCode, type FieldError } from './errors.ts'
import { NAMED_FIELDS, PARSE_OPTIONS, REQUIRED } from './issue-message.ts'
import { escapePointer, findUnsafeJson } from './json.ts'

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

function toAppError(issues: readonly z.core.$ZodIssue[]): AppError {
  const fields = issues.flatMap(toFieldErrors)
  const [only] = issues
  const code = issues.length === 1 && only !== undefined ? legacyErrorCode(only) : undefined
  const message = code === undefined ? 'The request is not valid.' : (fields[0]?.message ?? '')
  return new AppError(code ?? 'validation_failed', message, { fields })
}

function toFieldErrors(issue: z.core.$ZodIssue): FieldError[] {
  const parent = pointerTo(issue.path)
  const pointers = issue.code === 'unrecognized_keys' ? unknownFields(parent, issue.keys) : [parent]
  return pointers.map((pointer) => ({ pointer, code: codeOf(issue), message: issue.message }))
}

/** Pointers to the unknown fields that look like fields, or to their parent when none does. */
function unknownFields(parent: string, keys: readonly string[]): string[] {
  const pointers = keys.map((key) => knownPart(`${parent}${pointerTo([key])}`))
  const known = pointers.filter((pointer) => pointer !== parent)
  return known.length === 0 ? [parent] : known.slice(0, NAMED_FIELDS)
}

const pointerTo = (path: readonly PropertyKey[]) =>
  knownPart(path.map((segment) => `/${escapePointer(String(segment))}`).join(''))

function codeOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'custom') return typeof issue.params?.code === 'string' ? issue.params.code : 'invalid'
  if (issue.message === REQUIRED) return 'required'
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
