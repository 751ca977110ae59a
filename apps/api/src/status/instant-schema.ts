import { isUsableTime, offsetTimeSchema } from '@tidings/shared/status-event'

/** A time in a query, read as a Date. */
export const instantSchema = offsetTimeSchema
  .transform((value) => new Date(value))
  .refine((value) => isUsableTime(value.getTime()), { error: 'The time must be from 1970 to 9999.' })
