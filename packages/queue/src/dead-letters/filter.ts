import type { DeadLetterReason } from '@tidings/shared/dead-letter'
import { type DeadLetterEntry, eventFields } from './entry.ts'

/** Conditions for dead letters; all that are set must hold. */
export interface DeadLetterFilter {
  type?: string | undefined
  status?: string | undefined
  reason?: DeadLetterReason | undefined
  notificationId?: string | undefined
  userId?: string | undefined
  source?: string | undefined
  /** A part of the error's code or message; upper and lower case are equal. */
  error?: string | undefined
  fingerprint?: string | undefined
  /** Dead-lettered at this time or later. */
  since?: Date | undefined
  /** Dead-lettered before this time. */
  until?: Date | undefined
  /** Redriven at least this many times. */
  redrivenGte?: number | undefined
}

export const isEmptyFilter = (filter: DeadLetterFilter) =>
  Object.values(filter).every((wanted) => wanted === undefined)

/** Compiles a filter into a predicate for many entries. */
export function createMatcher(filter: DeadLetterFilter): (entry: DeadLetterEntry) => boolean {
  const since = filter.since?.getTime()
  const until = filter.until?.getTime()
  const error = filter.error?.toLowerCase()
  const userId = filter.userId?.toLowerCase()
  const same = (wanted: string | undefined, found: string | undefined) =>
    wanted === undefined || wanted === found
  return (entry) => {
    const fields = eventFields(entry.event)
    const buriedAt = Date.parse(entry.dead_at)
    return (
      same(filter.type, fields.type) &&
      same(filter.status, fields.status) &&
      same(filter.reason, entry.reason) &&
      same(filter.notificationId, fields.notificationId) &&
      same(userId, fields.userId?.toLowerCase()) &&
      same(filter.source, fields.source) &&
      same(filter.fingerprint, entry.fingerprint) &&
      (since === undefined || buriedAt >= since) &&
      (until === undefined || buriedAt < until) &&
      (filter.redrivenGte === undefined || entry.redrives >= filter.redrivenGte) &&
      (error === undefined || `${entry.error.code} ${entry.error.message}`.toLowerCase().includes(error))
    )
  }
}
