import { z } from 'zod'

/** A member that is missing, null or of another type counts as absent: providers change their payloads. */
export const maybe = <Schema extends z.ZodType>(schema: Schema) => schema.optional().catch(undefined)

export const maybeText = maybe(z.string())
