/**
 * Oldest signed time of a request that is accepted. SendGrid sends again for a day, SNS for an hour, and nobody
 * documents that they sign again; a narrower limit would lose events. A replay within the limit is the same event, so
 * nothing changes. The limit keeps it from coming back after its row was deleted by age.
 */
const MAX_AGE_MS = 25 * 60 * 60 * 1000

/** Whether a signed time (milliseconds since 1970) is too old, too far ahead, or no time at all. */
export const isStale = (signedAt: number, now: Date): boolean =>
  !(Math.abs(now.getTime() - signedAt) <= MAX_AGE_MS)
