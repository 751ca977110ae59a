/** Why a parsed JSON value is refused before it is checked against a schema. */
export interface UnsafeJson {
  /** JSON pointer (RFC 6901) to the offending place. */
  pointer: string
  code: 'nul_character' | 'lone_surrogate' | 'too_deep' | 'forbidden_key' | 'number_out_of_range'
  message: string
}

const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype'])

/** Deepest accepted nesting of objects and arrays, in levels. */
export const MAX_JSON_DEPTH = 32

/**
 * Finds content that no field may hold: NUL (PostgreSQL cannot store it), lone surrogates (not valid UTF-8), keys
 * that reach a prototype, numbers that JSON.parse turned into Infinity, nesting deeper than MAX_JSON_DEPTH.
 *
 * @returns the first problem found, or undefined.
 */
export function findUnsafeJson(value: unknown, depth = 0): UnsafeJson | undefined {
  if (typeof value === 'string') return unsafeText(value)
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return undefined
    return { pointer: '', code: 'number_out_of_range', message: 'Number is out of range.' }
  }
  if (typeof value !== 'object' || value === null) return undefined
  if (depth >= MAX_JSON_DEPTH) {
    return { pointer: '', code: 'too_deep', message: `Nesting is deeper than ${MAX_JSON_DEPTH} levels.` }
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const found = findUnsafeJson(value[i], depth + 1)
      if (found) return within(String(i), found)
    }
    return undefined
  }
  for (const key of Object.keys(value)) {
    // The pointer stops at the parent: the key is the caller's own text and must not be repeated.
    if (FORBIDDEN_KEYS.has(key))
      return { pointer: '', code: 'forbidden_key', message: 'This key is not allowed.' }
    const inKey = unsafeText(key)
    if (inKey) return inKey
    const found = findUnsafeJson((value as Record<string, unknown>)[key], depth + 1)
    if (found) return within(key, found)
  }
  return undefined
}

/** Whether the value holds a whole number beyond 2^53 - 1. JSON.parse may have changed it. */
export function hasUnsafeInteger(value: unknown): boolean {
  if (typeof value === 'number') return isUnsafeInteger(value)
  return typeof value === 'object' && value !== null && Object.values(value).some(hasUnsafeInteger)
}

/**
 * Whether text of JSON may hold a number that JSON.parse changes, because it has more digits than a double. It may find
 * one where there is none, for example in a string.
 */
export const mayLoseDigits = (json: string): boolean => /(?:^|[:,[\s])-?\d[\d.]{15}/.test(json)

/**
 * Parses JSON whose whole numbers beyond 2^53 - 1 keep their digits: JSON.stringify writes them as they were. Other
 * code sees them as objects, not as numbers.
 */
export function parseExactJson(json: string): unknown {
  if (!mayLoseDigits(json)) return JSON.parse(json)
  return parseWithSource(json, (_key, value, { source }) =>
    isUnsafeInteger(value) && source !== undefined ? rawJson(source) : value,
  )
}

// TypeScript does not know these parts of ECMAScript 2026 yet.
const parseWithSource = JSON.parse as (
  json: string,
  reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
) => unknown
const { rawJSON: rawJson } = JSON as unknown as { rawJSON(text: string): unknown }

const isUnsafeInteger = (value: unknown): boolean => Number.isInteger(value) && !Number.isSafeInteger(value)

/** Whether objects and arrays are nested deeper than `levels`. */
export function isTooDeep(value: unknown, levels = MAX_JSON_DEPTH): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((member) => isTooDeep(member, levels - 1))
}

/** Replaces everything deeper than `levels` with `…`. JSON.stringify exhausts the stack on deeper nesting. */
export function cutDeepJson(value: unknown, levels = MAX_JSON_DEPTH): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (levels === 0) return '…'
  if (Array.isArray(value)) return value.map((item) => cutDeepJson(item, levels - 1))
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, cutDeepJson(member, levels - 1)]),
  )
}

/** Builds the pointer on the way out of the recursion: nearly every value is safe and needs none. */
function within(segment: string, found: UnsafeJson): UnsafeJson {
  if (found.code === 'too_deep') return found
  return { ...found, pointer: `/${escapePointer(segment)}${found.pointer}` }
}

function unsafeText(text: string): UnsafeJson | undefined {
  if (text.includes('\0')) {
    return { pointer: '', code: 'nul_character', message: 'The NUL character is not allowed.' }
  }
  if (!text.isWellFormed()) {
    return { pointer: '', code: 'lone_surrogate', message: 'Text must be valid Unicode.' }
  }
  return undefined
}

/** Escapes one segment of a JSON pointer (RFC 6901). */
export function escapePointer(segment: string): string {
  return segment.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** JSON with sorted keys: equal content gives equal text. Undefined members are left out. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`)
    return `{${members.join(',')}}`
  }
  return JSON.stringify(value) ?? 'null'
}

/**
 * Whether the value takes more than `limit` characters as JSON, or nearly so: it counts names, texts and separators. It
 * stops at the limit, so it is quick where JSON.stringify takes a tenth of a second. It does not look below
 * MAX_JSON_DEPTH levels, which no value may have.
 */
export function isLargeJson(value: unknown, limit: number): boolean {
  return roomAfter(value, limit, 0) < 0
}

/** The room that is left after the value; negative when there is none. */
function roomAfter(value: unknown, room: number, depth: number): number {
  if (typeof value === 'string') return room - value.length - 2
  if (typeof value !== 'object' || value === null || depth > MAX_JSON_DEPTH) return room - 1
  let left = room - 2
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length && left >= 0; i++) left = roomAfter(value[i], left - 1, depth + 1)
    return left
  }
  for (const key in value) {
    if (left < 0) break
    left = roomAfter((value as Record<string, unknown>)[key], left - key.length - 4, depth + 1)
  }
  return left
}
