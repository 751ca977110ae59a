import { isTooDeep } from '@tidings/shared/json'

/** Throws on bytes that are not UTF-8. Drops a byte order mark. */
const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The JSON of a body, or what is wrong with it. */
export type ParsedBody = { value: unknown } | { problem: string }

/** Never throws. Refuses nesting that nothing after it could handle. */
export function parseBody(body: Buffer): ParsedBody {
  let text: string
  try {
    text = utf8.decode(body)
  } catch {
    return { problem: 'The body is not UTF-8.' }
  }
  return parseText(text)
}

export function parseText(text: string): ParsedBody {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { problem: 'The body is not JSON.' }
  }
  return isTooDeep(value) ? { problem: 'The body is nested too deep.' } : { value }
}
