import type { MappedEvent, ProviderReport } from '../provider.ts'

/** The report of an event that has one. */
export function reportOf(mapped: MappedEvent): ProviderReport {
  if (mapped.outcome !== 'report') throw new Error(`There is no report: ${JSON.stringify(mapped)}`)
  return mapped.report
}
