import type { z } from 'zod'

/** Control characters, line separators, and marks that reverse the direction of the text after them. */
const DISRUPTIVE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u
/** A letter, digit, sign or symbol that leaves ink: neither ignorable nor the blank Braille pattern. */
const VISIBLE = /(?![\p{Default_Ignorable_Code_Point}\u2800])[\p{L}\p{N}\p{P}\p{S}]/u

/** A text on one line that mail headers, terminals and lists can show. */
export const displayed = (schema: z.ZodString) =>
  schema
    .refine((text) => !DISRUPTIVE.test(text), {
      error: 'Control characters, line breaks and direction overrides are not allowed.',
      params: { code: 'forbidden_character' },
    })
    .refine((text) => text === '' || VISIBLE.test(text), {
      error: 'Use at least one visible character.',
      params: { code: 'not_visible' },
    })
