import type { z } from 'zod'

/** An optional field. Null means absent, because many programs write null for a value that they do not have. */
export function optional<Schema extends z.ZodType>(schema: Schema) {
  return schema
    .nullish()
    .transform((value): z.output<Schema> | undefined => value ?? undefined)
    .optional()
}
