import { AppError } from '@tidings/shared/errors'
import { isUuid } from '@tidings/shared/uuid'
import type { z } from 'zod'
import type { ApiContext } from './context.ts'
import { parseValue } from './parse-value.ts'

/** Validates the query string against `schema`. Of a repeated parameter only the first value counts. */
export function readQuery<Schema extends z.ZodType>(c: ApiContext, schema: Schema): z.output<Schema> {
  return parseValue(schema, c.req.query())
}

/**
 * Reads a UUID from the path, in lower case.
 *
 * @throws AppError `not_found` when the parameter is no UUID: no resource can have that id.
 */
export function readPathUuid(c: ApiContext, name: string): string {
  const value = c.req.param(name)
  if (value === undefined || !isUuid(value)) throw notFound()
  return value.toLowerCase()
}

/** One answer for absent resources and for those the caller may not see. */
export const notFound = () => new AppError('not_found', 'There is nothing here.')
