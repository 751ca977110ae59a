import { cutDeepJson } from './json.ts'

/**
 * These expressions read text from anybody, so none may scan the same text twice: an expression that looks for
 * the `@` from each letter of a long word takes quadratic time.
 */
const WORD_OR_EMAIL = /([\p{L}\p{N}])[\p{L}\p{N}._%+-]*(?:@([\p{L}\p{N}.-]+\.\p{L}{2,}))?/giu
/** FCM and APNs tokens and the keys of web push endpoints: long unbroken runs that are not UUIDs. */
const LONG_TOKEN = /(?<![\w-])[\w-]{22,}:[\w-]{60,}|(?<![\w-])[0-9a-f]{64,}(?![\w-])/gi
/** Without a closing bracket the token was cut off: it reaches to the end of the text. */
const EXPO_TOKEN = /(Expo(?:nent)?PushToken)\[[^\]]*\]?/g
const TOKEN_FIELD = /(push|device|registration|fcm|apns)[_-]?token|^token$|^to_token$/i

/** Deeper than any accepted event, also inside its dead letter. */
export const SHOWN_DEPTH = 40

/** Masks the e-mail addresses and push tokens in a text. Enough stays to tell two apart. */
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
 * Copies a JSON value and masks every text in it. A key that names a push token hides its whole value. Levels
 * below SHOWN_DEPTH are cut off: masking or printing them would exhaust the stack.
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
