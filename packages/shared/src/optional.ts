import type { z } from 'zod'

/**
 * An optional field. Null means absent, because many programs write null for a value that they do not have.
 *
 * The transform must not accept undefined itself: zod then skips it for an absent field. It took 3 µs of each report
 * and each event otherwise.
 */
export function optional<Schema extends z.ZodType>(schema: Schema) {
  return schema
    .nullable()
    .transform((value): z.output<Schema> | undefined => value ?? undefined)
    .optional()
}
