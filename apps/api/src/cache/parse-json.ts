import type { z } from 'zod'

/** Parses JSON of this shape. Returns undefined for anything else: others can write to the store too. */
export function parseJson<Value>(schema: z.ZodType<Value>, text: string): Value | undefined {
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
