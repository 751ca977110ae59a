import type { StatusReport } from '@tidings/shared/status-event'

/** The benchmark's users have the numbers 1..USERS. */
export const USERS = 10_000

/** Every contender stores this as the `source` of its events. */
export const EVENT_SOURCE = 'bench'

/** The id of the benchmark's nth user. */
export const userIdOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`

/** The event that every contender stores: a delivery to a known user. Without event_id, so each request is a new event. */
export function makeReport(notificationId: string): StatusReport {
  return {
    notification_id: notificationId,
    status: 'delivered',
    user_id: userIdOf(1 + Math.floor(Math.random() * USERS)),
    provider: 'sendgrid',
  }
}

/** Body of POST …/status/, or of POST …/status/batch/ when `batch` is above 1. */
export function makeBody(label: string, batch: number): string {
  if (batch === 1) return JSON.stringify(makeReport(label))
  return JSON.stringify({ events: Array.from({ length: batch }, (_, n) => makeReport(`${label}-${n}`)) })
}
