import { cutDeepJson, findUnsafeJson, MAX_JSON_DEPTH } from './json.ts'
import { LIMITS, type UnreadableItem } from './status-event.ts'

export interface UnreadableReport {
  /** What is wrong: fields and rules, without values. Cut to LIMITS.errorLength. */
  problem: string
  provider: string
  /** Name of the hook. */
  source: string
  receivedAt: Date
  /** What the provider sent: one event as JSON, or a whole body. */
  payload: unknown
}

/** The item holds its payload one level down. */
const PAYLOAD_DEPTH = MAX_JSON_DEPTH - 1

/**
 * Makes the item of a report that could not be read. Both stores can hold it: the payload is cut where it is nested too
 * deep, and becomes its JSON as text when it holds what PostgreSQL refuses, such as NUL.
 */
export function createUnreadableItem(report: UnreadableReport): UnreadableItem {
  const payload = cutDeepJson(report.payload, PAYLOAD_DEPTH)
  return {
    unreadable: report.problem.slice(0, LIMITS.errorLength),
    provider: report.provider,
    source: report.source,
    received_at: report.receivedAt.toISOString(),
    payload: findUnsafeJson(payload) === undefined ? payload : JSON.stringify(payload),
  }
}
