import type { z } from 'zod'

/** JSON of this shape; undefined for anything else. For what came from a store that others write to as well. */
export function parseText<Value>(schema: z.ZodType<Value>, text: string): Value | undefined {
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
