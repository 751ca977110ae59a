/** The shortest DEDUPLICATION_WINDOW, in days. An event that was received within it always has its key. */
export const MIN_DEDUPLICATION_DAYS = 35

/** Clocks of hosts differ. An event that is younger than this has its key. */
const SURELY_KEPT_MS = (MIN_DEDUPLICATION_DAYS - 1) * 86_400_000

/** Whether the key of an event may have been removed while its row is still there. */
export const mayHaveLostKey = (receivedAt: string, now: number) =>
  Date.parse(receivedAt) < now - SURELY_KEPT_MS
