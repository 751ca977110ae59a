import { createHash } from 'node:crypto'
import type { DeadLetterReason } from '@tidings/shared/dead-letter'

/** Twelve hex digits, equal for errors that differ only in ids, numbers and quoted values. */
export function fingerprintOf(reason: DeadLetterReason, error: { code: string; message: string }): string {
  const normal = `${reason} ${error.code} ${normalizeMessage(error.message)}`
  return createHash('sha256').update(normal).digest('hex').slice(0, 12)
}

/** Replaces ids, numbers and quoted values by placeholders, and joins white space. */
export function normalizeMessage(message: string): string {
  return message
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi, '<id>')
    .replace(/"[^"]*"|'[^']*'/g, '<value>')
    .replace(/\b[0-9a-f]{16,}\b/gi, '<id>')
    .replace(/\d+(\.\d+)?/g, '<n>')
    .replace(/\s+/g, ' ')
    .trim()
}
