import type { z } from 'zod'

/** Parses JSON and validates it. Returns undefined when it is not valid, because other programs may write to the store. */
export function parseJson<Value>(schema: z.ZodType<Value>, text: string): Value | undefined {
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
