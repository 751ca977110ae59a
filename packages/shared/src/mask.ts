import { cutDeepJson } from './json.ts'

/**
 * These read text that anybody may have written, so none may start over inside what it has read: an expression
 * that looks for the `@` from each letter of a long word takes its length squared.
 */
const WORD_OR_EMAIL = /([\p{L}\p{N}])[\p{L}\p{N}._%+-]*(?:@([\p{L}\p{N}.-]+\.\p{L}{2,}))?/giu
/** FCM and APNs tokens, web push endpoints' keys: long unbroken runs that are no UUID. */
const LONG_TOKEN = /(?<![\w-])[\w-]{22,}:[\w-]{60,}|(?<![\w-])[0-9a-f]{64,}(?![\w-])/gi
/** One without an end was cut off: it goes on to the end of the text. */
const EXPO_TOKEN = /(Expo(?:nent)?PushToken)\[[^\]]*\]?/g
const TOKEN_FIELD = /(push|device|registration|fcm|apns)[_-]?token|^token$|^to_token$/i

/** More levels than any event that is accepted has, its dead letter included. */
export const SHOWN_DEPTH = 40

/** Text with e-mail addresses and push tokens made unreadable; enough stays to tell two apart. */
export function maskText(text: string): string {
  return maskEmails(text)
    .replace(EXPO_TOKEN, '$1[***]')
    .replace(LONG_TOKEN, (token) => (token.includes(':') && !/\d/.test(token) ? token : maskToken(token)))
}

function maskEmails(text: string): string {
  if (!text.includes('@')) return text
  return text.replace(WORD_OR_EMAIL, (found: string, first: string, domain: string | undefined) =>
    domain === undefined ? found : `${first}***@${domain}`,
  )
}

const maskToken = (token: string) => (token.length <= 8 ? '***' : `${token.slice(0, 4)}***(${token.length})`)

/**
 * A copy of any JSON value, masked throughout: keys that name a push token hide their whole value. What is nested
 * deeper than SHOWN_DEPTH is cut off: masking and writing it would exhaust the stack.
 */
export function maskValue(value: unknown): unknown {
  return maskMember(cutDeepJson(value, SHOWN_DEPTH), '')
}

function maskMember(value: unknown, key: string): unknown {
  if (typeof value === 'string') return TOKEN_FIELD.test(key) ? maskToken(value) : maskText(value)
  if (Array.isArray(value)) return value.map((item) => maskMember(item, key))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [maskText(name), maskMember(member, name)]),
    )
  }
  return value
}
