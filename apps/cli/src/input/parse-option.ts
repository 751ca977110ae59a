import { categorySchema } from '@tidings/shared/status-event'
import { InvalidArgumentError } from 'commander'

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const
const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/i

/**
 * Refuses an empty text. A script whose variable is not set passes one, and an empty filter would match every entry.
 */
export function parseText(text: string): string {
  if (text.trim() !== '') return text
  throw new InvalidArgumentError('It is empty: is a variable not set? Give a value, or leave it out.')
}

/** As parseText, for an argument that can be given several times. */
export const parseTexts = (text: string, before: readonly string[] = []) => [...before, parseText(text)]

/** Ten years. PostgreSQL and JavaScript do not know every time that a longer one leads to. */
const MAX_DURATION_MS = 3_650 * UNIT_MS.d

/** A duration such as `90s`, `15m`, `2h` or `7d`, in milliseconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/.exec(text)
  if (!match) throw new InvalidArgumentError('Use a duration like 90s, 15m, 2h or 7d.')
  const ms = Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS]
  if (ms > MAX_DURATION_MS) throw new InvalidArgumentError('Use at most 3650d.')
  return ms
}

/** A time: RFC 3339, or a duration before now. */
export function parseTime(text: string): Date {
  if (RFC_3339.test(text) && Number.isFinite(Date.parse(text))) return new Date(text)
  if (/^\d+(\.\d+)?[a-z]+$/.test(text)) return new Date(Date.now() - parseDuration(text))
  throw new InvalidArgumentError('Use a time like 2026-01-31T12:00:00Z, or how long ago: 2h, 7d.')
}

/** A time to come: RFC 3339, or a duration from now. */
export function parseFutureTime(text: string): Date {
  const isDuration = /^\d+(\.\d+)?[a-z]+$/.test(text)
  const time = isDuration ? new Date(Date.now() + parseDuration(text)) : parseTime(text)
  if (time.getTime() > Date.now() && time.getUTCFullYear() <= 9999) return time
  throw new InvalidArgumentError('Use a time in the future.')
}

/** The key of a category. */
export function parseCategory(text: string): string {
  if (categorySchema.safeParse(text).success) return text
  throw new InvalidArgumentError('Use lower-case letters, digits, and . _ - after the first; at most 64.')
}

/** As parseTime; `today` and `yesterday` are the starts of these days in UTC. */
export const parseTimeOrDay = (text: string): Date =>
  text === 'today' ? startOfDay(0) : text === 'yesterday' ? startOfDay(1) : parseTime(text)

function startOfDay(daysAgo: number): Date {
  const now = new Date()
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() - daysAgo))
}

/** A whole number of at least `min` and at most `max`. */
export function parseCount(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(
      max === Number.MAX_SAFE_INTEGER
        ? `Use a whole number of at least ${min}.`
        : `Use a whole number from ${min} to ${max}.`,
    )
  }
}

/** A rate such as `50/s`, `3000/m` or `50`, in entries a second. */
export function parseRate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:\/(s|m|h))?$/.exec(text)
  const rate = match ? Number(match[1]) / (UNIT_MS[(match[2] ?? 's') as 's' | 'm' | 'h'] / 1_000) : 0
  if (rate <= 0) throw new InvalidArgumentError('Use a rate like 50/s or 3000/m.')
  return rate
}

/** A share between 0 and 1, or a percentage. */
export function parseRatio(text: string): number {
  const value = /^\d+(\.\d+)?%$/.test(text) ? Number.parseFloat(text) / 100 : Number(text)
  if (text !== '' && value >= 0 && value <= 1) return value
  throw new InvalidArgumentError('Use a share like 0.2 or 20%.')
}
