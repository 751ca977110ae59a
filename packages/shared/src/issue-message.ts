import type { z } from 'zod'

/** Replaces zod's messages, which can quote the caller's value. A message set in a schema takes precedence. */
export const PARSE_OPTIONS = { error: describeIssue, reportInput: false } as const

function describeIssue(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return isAbsent(issue) ? REQUIRED : `Must be ${typeName(issue.expected)}.`
    case 'invalid_value':
      return isAbsent(issue) ? REQUIRED : `Must be one of: ${issue.values.join(', ')}.`
    case 'too_big':
      return `Must be at most ${issue.maximum}${unitOf(issue.origin)}.`
    case 'too_small':
      return `Must be at least ${issue.minimum}${unitOf(issue.origin)}.`
    case 'unrecognized_keys':
      return describeUnknown(issue.keys)
    default:
      return 'This value is not valid.'
  }
}

/** The message of a required field that is absent. */
export const REQUIRED = 'This field is required.'

/** A field without a value. The value as a whole, which has no path, has another type then. */
const isAbsent = ({ input, path = [] }: z.core.$ZodRawIssue) =>
  path.length > 0 && (input === undefined || input === null)

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

/** Most unknown fields that an answer names. */
export const NAMED_FIELDS = 5

/** Names only what looks like a field: anything else may be a value of the caller. */
function describeUnknown(keys: readonly string[]): string {
  const names = keys.filter((key) => /^[A-Za-z_]{1,32}$/.test(key)).slice(0, NAMED_FIELDS)
  if (names.length === 0) return 'Unknown fields are not allowed here.'
  const more = keys.length - names.length
  return `Not known here: ${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}.`
}
