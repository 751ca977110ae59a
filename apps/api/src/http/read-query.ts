import { AppError } from '@tidings/shared/errors'
import { isUuid } from '@tidings/shared/uuid'
import type { z } from 'zod'
import type { ApiContext } from './context.ts'
import { parseValue } from './parse-value.ts'

/** Checks the query string against `schema`; of a repeated parameter the first counts. */
export function readQuery<Schema extends z.ZodType>(c: ApiContext, schema: Schema): z.output<Schema> {
  return parseValue(schema, c.req.query())
}

/**
 * A UUID in the path, in lower case.
 *
 * @throws AppError `not_found` for anything else: what cannot be an id names nothing.
 */
export function readPathUuid(c: ApiContext, name: string): string {
  const value = c.req.param(name)
  if (value === undefined || !isUuid(value)) throw notFound()
  return value.toLowerCase()
}

/** The same for absent things and for those the caller may not see. */
export const notFound = () => new AppError('not_found', 'There is nothing here.')
