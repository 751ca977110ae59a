import type { StatusReport } from '@tidings/shared/status-event'

/** Users of the benchmark, by number: 1..USERS. */
export const USERS = 10_000

/** The id of the benchmark's nth user. */
export const userIdOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`

/** The event every contender stores: a delivery, of a known user. No event_id: each request is a new event. */
export function makeReport(notificationId: string): StatusReport {
  return {
    notification_id: notificationId,
    status: 'delivered',
    user_id: userIdOf(1 + Math.floor(Math.random() * USERS)),
    provider: 'sendgrid',
  }
}

/** One body of POST …/status/, or with a `batch` size one of POST …/status/batch/. */
export function makeBody(label: string, batch: number): string {
  if (batch === 1) return JSON.stringify(makeReport(label))
  return JSON.stringify({ events: Array.from({ length: batch }, (_, n) => makeReport(`${label}-${n}`)) })
}
