const STEPS = [
  { limitMs: 60_000, unitMs: 1_000, unit: 's' },
  { limitMs: 3_600_000, unitMs: 60_000, unit: 'm' },
  { limitMs: 48 * 3_600_000, unitMs: 3_600_000, unit: 'h' },
  { limitMs: Number.POSITIVE_INFINITY, unitMs: 86_400_000, unit: 'd' },
] as const

/** A duration in one unit, rounded down: `42s`, `5m`, `3h`, `12d`. */
export function formatDuration(ms: number): string {
  const span = Math.max(0, ms)
  const step = STEPS.find(({ limitMs }) => span < limitMs) ?? STEPS[3]
  return `${Math.floor(span / step.unitMs)}${step.unit}`
}

/** The time since an ISO 8601 time, as formatDuration writes it. */
export const formatAge = (iso: string, now = Date.now()) => formatDuration(now - Date.parse(iso))

export const formatCount = (count: number) => count.toLocaleString('en-US')

/** `1 entry`, `2 entries`. */
export const entries = (count: number) => `${formatCount(count)} ${count === 1 ? 'entry' : 'entries'}`
