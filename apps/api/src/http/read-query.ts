import { AppError } from '@tidings/shared/errors'
import { parseValue } from '@tidings/shared/parse-value'
import { isUsableTime, offsetTimeSchema } from '@tidings/shared/status-event'
import { isUuid } from '@tidings/shared/uuid'
import type { z } from 'zod'
import type { ApiContext } from './context.ts'

/** A time in a query. */
export const queryTime = offsetTimeSchema
  .transform((value) => new Date(value))
  .refine((value) => isUsableTime(value.getTime()), { error: 'The time must be from 1970 to 9999.' })

/**
 * Validates the query string against `schema`, which must be strict: an ignored filter would answer with everything.
 *
 * @throws AppError of parseValue, and `validation_failed` when a parameter is given twice.
 */
export function readQuery<Schema extends z.ZodType>(c: ApiContext, schema: Schema): z.output<Schema> {
  const query = parseValue(schema, c.req.query())
  const repeated = Object.entries(c.req.queries()).filter(([, values]) => values.length > 1)
  if (repeated.length === 0) return query
  const message = 'Give this parameter once.'
  const fields = repeated.map(([name]) => ({ pointer: `/${name}`, code: 'invalid', message }))
  throw new AppError('validation_failed', 'The request is not valid.', { fields })
}

/**
 * Checks that a time range has not its ends mixed up: an empty answer would look as if nothing had happened.
 *
 * @throws AppError `validation_failed`.
 */
export function requireOrder({ from, to }: { from?: Date | undefined; to?: Date | undefined }): void {
  if (from === undefined || to === undefined || from <= to) return
  const message = 'The end of the time must not be before its beginning.'
  throw new AppError('validation_failed', message, {
    fields: [{ pointer: '/from', code: 'invalid', message }],
  })
}

/**
 * Reads a UUID from the path, in lower case.
 *
 * @throws AppError `not_found` when the parameter is not a UUID, because every id is one.
 */
export function readPathUuid(c: ApiContext, name: string): string {
  const value = c.req.param(name)
  if (value === undefined || !isUuid(value)) throw notFound()
  return value.toLowerCase()
}

/** One answer for absent resources and for those the caller may not see. */
export const notFound = () => new AppError('not_found', 'There is nothing here.')
