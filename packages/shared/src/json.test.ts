import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  canonicalJson,
  findUnsafeJson,
  hasUnsafeInteger,
  isLargeJson,
  MAX_JSON_DEPTH,
  parseExactJson,
} from './json.ts'

const nested = (depth: number) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown

describe('findUnsafeJson', () => {
  it.each([
    ['NUL in a value', { a: ['x\0'] }, 'nul_character', '/a/0'],
    ['NUL in a key', { a: { 'x\0': 1 } }, 'nul_character', '/a'],
    ['a lone surrogate', { 'a/b': '\ud800' }, 'lone_surrogate', '/a~1b'],
    ['1e400', JSON.parse('{"n": 1e400}'), 'number_out_of_range', '/n'],
    ['__proto__', JSON.parse('{"m": {"__proto__": 1}}'), 'forbidden_key', '/m'],
    ['constructor', { constructor: 1 }, 'forbidden_key', ''],
    ['deep nesting', nested(MAX_JSON_DEPTH + 1), 'too_deep', ''],
  ])('finds %s', (_name, value, code, pointer) => {
    expect(findUnsafeJson(value)).toMatchObject({ code, pointer })
  })

  it('accepts all other JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify(value)
        fc.pre(!/\\u0000|__proto__|constructor|prototype/.test(text))
        expect(findUnsafeJson(value)).toBeUndefined()
      }),
    )
    expect(findUnsafeJson(nested(MAX_JSON_DEPTH))).toBeUndefined()
  })
})

describe('parseExactJson', () => {
  it('keeps the digits of every whole number', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt()), (numbers) => {
        const text = `{"numbers":[${numbers.join(',')}]}`
        expect(JSON.stringify(parseExactJson(text))).toBe(text)
      }),
    )
  })

  it('reads all other JSON as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        fc.pre(!hasUnsafeInteger(value))
        const text = JSON.stringify(value)
        expect(parseExactJson(text)).toEqual(JSON.parse(text))
      }),
    )
  })
})

describe('canonicalJson', () => {
  it('gives equal text for equal content in any order of keys', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
        const reversed = Object.fromEntries(Object.entries(object).reverse())
        expect(canonicalJson(reversed)).toBe(canonicalJson(object))
        expect(JSON.parse(canonicalJson(object))).toEqual(JSON.parse(JSON.stringify(object)))
      }),
    )
  })
})

describe('isLargeJson', () => {
  it.each([
    ['a long text', { a: 'x'.repeat(1_000) }],
    ['many small members', Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`k${index}`, 1]))],
    ['many empty objects', Array.from({ length: 500 }, () => ({}))],
  ])('finds %s', (_name, value) => {
    expect(isLargeJson(value, 1_000)).toBe(true)
    expect(isLargeJson(value, 10_000)).toBe(false)
  })

  it('is right to a few characters, and stops at any depth', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => !isLargeJson(value, JSON.stringify(value).length + 8)))
    expect(isLargeJson(nested(20_000), 1_000)).toBe(false)
  })
})
