import type { DeadLetterReason } from '@tidings/shared/dead-letter'
import { type DeadLetterEntry, eventFields } from './entry.ts'

/** What to look for; what is given must all hold. */
export interface DeadLetterFilter {
  type?: string | undefined
  status?: string | undefined
  reason?: DeadLetterReason | undefined
  notificationId?: string | undefined
  userId?: string | undefined
  source?: string | undefined
  /** Part of the error's code or message, in any case. */
  error?: string | undefined
  fingerprint?: string | undefined
  /** Died at or after. */
  since?: Date | undefined
  /** Died before. */
  until?: Date | undefined
  /** Redriven at least this often. */
  redrivenGte?: number | undefined
}

export const isEmptyFilter = (filter: DeadLetterFilter) =>
  Object.values(filter).every((wanted) => wanted === undefined)

/** Makes the test for a filter once, to be used on many entries. */
export function createMatcher(filter: DeadLetterFilter): (entry: DeadLetterEntry) => boolean {
  const since = filter.since?.getTime()
  const until = filter.until?.getTime()
  const error = filter.error?.toLowerCase()
  const userId = filter.userId?.toLowerCase()
  const same = (wanted: string | undefined, found: string | undefined) =>
    wanted === undefined || wanted === found
  return (entry) => {
    const fields = eventFields(entry.event)
    const diedAt = Date.parse(entry.dead_at)
    return (
      same(filter.type, fields.type) &&
      same(filter.status, fields.status) &&
      same(filter.reason, entry.reason) &&
      same(filter.notificationId, fields.notificationId) &&
      same(userId, fields.userId?.toLowerCase()) &&
      same(filter.source, fields.source) &&
      same(filter.fingerprint, entry.fingerprint) &&
      (since === undefined || diedAt >= since) &&
      (until === undefined || diedAt < until) &&
      (filter.redrivenGte === undefined || entry.redrives >= filter.redrivenGte) &&
      (error === undefined || `${entry.error.code} ${entry.error.message}`.toLowerCase().includes(error))
    )
  }
}
