const EMAIL = /([\p{L}\p{N}])[\p{L}\p{N}._%+-]*@([\p{L}\p{N}.-]+\.\p{L}{2,})/giu
/** FCM and APNs tokens, web push endpoints' keys: long unbroken runs that are no UUID. */
const LONG_TOKEN = /(?<![\w-])(?=[\w:-]*\d)[\w-]{22,}:[\w-]{60,}|(?<![\w-])[0-9a-f]{64,}(?![\w-])/gi
const EXPO_TOKEN = /(Expo(?:nent)?PushToken)\[[^\]]*\]/g
const TOKEN_FIELD = /(push|device|registration|fcm|apns)[_-]?token|^token$|^to_token$/i

/** Text with e-mail addresses and push tokens made unreadable; enough stays to tell two apart. */
export function maskText(text: string): string {
  return text
    .replace(EMAIL, '$1***@$2')
    .replace(EXPO_TOKEN, '$1[***]')
    .replace(LONG_TOKEN, (token) => maskToken(token))
}

const maskToken = (token: string) => (token.length <= 8 ? '***' : `${token.slice(0, 4)}***(${token.length})`)

/** A copy of any JSON value, masked throughout: keys that name a push token hide their whole value. */
export function maskValue(value: unknown, key = ''): unknown {
  if (typeof value === 'string') return TOKEN_FIELD.test(key) ? maskToken(value) : maskText(value)
  if (Array.isArray(value)) return value.map((item) => maskValue(item, key))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [maskText(name), maskValue(member, name)]),
    )
  }
  return value
}
