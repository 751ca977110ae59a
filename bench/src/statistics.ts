/** One metric over several rounds. */
export interface Summary {
  median: number
  min: number
  max: number
  values: number[]
}

/** @throws when there are no values. */
export function summarize(values: readonly number[]): Summary {
  if (values.length === 0) throw new Error('There are no values to summarize')
  return {
    median: percentile(values, 0.5),
    min: Math.min(...values),
    max: Math.max(...values),
    values: [...values],
  }
}

/** The value below which `share` (0..1) of the values lie, interpolated linearly. NaN for no values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const position = (sorted.length - 1) * share
  const below = sorted[Math.floor(position)]
  const above = sorted[Math.ceil(position)]
  if (below === undefined || above === undefined) return Number.NaN
  return below + (above - below) * (position - Math.floor(position))
}
