/** What JSON can hold. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

/** Why a parsed JSON value is refused before any schema looks at it. */
export interface UnsafeJson {
  /** JSON pointer (RFC 6901) to the offending place. */
  pointer: string
  code: 'nul_character' | 'lone_surrogate' | 'too_deep' | 'forbidden_key' | 'number_out_of_range'
  message: string
}

const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype'])

/** Deepest nesting of objects and arrays that is read. */
export const MAX_JSON_DEPTH = 32

/**
 * Looks for what no field may carry: NUL (PostgreSQL cannot store it), lone surrogates (not UTF-8), keys
 * that reach a prototype, numbers that JSON.parse turned into Infinity, nesting over MAX_JSON_DEPTH.
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
    // The key itself is the caller's text, so a bad one is reported at its parent.
    if (FORBIDDEN_KEYS.has(key))
      return { pointer: '', code: 'forbidden_key', message: 'This key is not allowed.' }
    const inKey = unsafeText(key)
    if (inKey) return inKey
    const found = findUnsafeJson((value as Record<string, unknown>)[key], depth + 1)
    if (found) return within(key, found)
  }
  return undefined
}

/** Whether objects and arrays are nested deeper than MAX_JSON_DEPTH. */
export function isTooDeep(value: unknown, levels = MAX_JSON_DEPTH): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((member) => isTooDeep(member, levels - 1))
}

/** The value without what lies deeper than so many levels: what is nested thousandfold cannot be written again. */
export function cutDeepJson(value: unknown, levels = MAX_JSON_DEPTH): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (levels === 0) return '…'
  if (Array.isArray(value)) return value.map((item) => cutDeepJson(item, levels - 1))
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, cutDeepJson(member, levels - 1)]),
  )
}

/** Pointers are made on the way back only: nearly every value is safe and needs none. */
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

/** One segment of a JSON pointer, escaped as RFC 6901 says. */
export function escapePointer(segment: string): string {
  return segment.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** JSON with keys in a fixed order, so that equal content gives equal text. Undefined members are left out. */
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
