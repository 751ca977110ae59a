import fc from 'fast-check'

/** The part of JSON Schema that the document uses. */
export interface JsonSchema {
  type?: string
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
  minItems?: number
  maxItems?: number
  anyOf?: JsonSchema[]
  enum?: unknown[]
  const?: unknown
  format?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
}

/** Longest generated text and list. NASTY has the values that exceed limits. */
const MAX_LENGTH = 40
const MAX_ITEMS = 4

/** Values that often break software. */
const NASTY = [
  null,
  true,
  0,
  -0,
  -1,
  2 ** 31,
  1e308,
  0.1,
  '',
  ' ',
  'null',
  '\0',
  'a\0b',
  '\ud800',
  '\u202e',
  'é'.repeat(200),
  'x'.repeat(5_000),
  "'; DROP TABLE users; --",
  '{{7*7}}',
  '../../etc/passwd',
  'infinity',
  'now',
  '2026-02-30T00:00:00Z',
  '9999-12-31T23:59:59Z',
  [],
  {},
  [[[[]]]],
  { toString: 1, hasOwnProperty: 2 },
  { constructor: { prototype: {} } },
] as const

export const anyJson: fc.Arbitrary<unknown> = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>(...NASTY))

/** Values that fit the schema. Any part may be replaced by a value that does not. */
export function arbitraryOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 20, arbitrary: fitting(schema) }, { weight: 1, arbitrary: anyJson })
}

function fitting(schema: JsonSchema): fc.Arbitrary<unknown> {
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(fitting))
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if ('const' in schema) return fc.constant(schema.const)
  switch (schema.type) {
    case 'object':
      return objects(schema)
    case 'array':
      return fc.array(arbitraryOf(schema.items ?? {}), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? MAX_ITEMS, MAX_ITEMS),
      })
    case 'string':
      return texts(schema)
    case 'integer':
      return fc.integer({
        min: Math.max(schema.minimum ?? -9, -(2 ** 31)),
        max: Math.min(schema.maximum ?? 2 ** 31, 2 ** 31 - 1),
      })
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true })
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    default:
      return anyJson
  }
}

function objects(schema: JsonSchema): fc.Arbitrary<unknown> {
  const known = Object.fromEntries(
    Object.entries(schema.properties ?? {}).map(([name, property]) => [name, arbitraryOf(property)]),
  )
  const exact = fc.record(known, { requiredKeys: schema.required ?? [] })
  const extended = fc
    .tuple(exact, fc.dictionary(fc.string({ maxLength: 12 }), anyJson, { maxKeys: 2 }))
    .map(([object, extra]) => ({ ...extra, ...object }))
  const reduced = fc.record(known, { requiredKeys: [] })
  return fc.oneof(
    { weight: 12, arbitrary: exact },
    { weight: 1, arbitrary: extended },
    { weight: 1, arbitrary: reduced },
  )
}

function texts(schema: JsonSchema): fc.Arbitrary<string> {
  switch (schema.format) {
    case 'uuid':
      return fc.uuid()
    case 'email':
      return fc.emailAddress()
    case 'date-time':
      return fc
        .date({ min: new Date('1960-01-01'), max: new Date('2040-01-01'), noInvalidDate: true })
        .map((date) => date.toISOString())
    default: {
      const minLength = schema.minLength ?? 0
      const maxLength = Math.max(minLength, Math.min(schema.maxLength ?? MAX_LENGTH, MAX_LENGTH))
      return fc.string({ unit: 'binary', minLength, maxLength })
    }
  }
}
