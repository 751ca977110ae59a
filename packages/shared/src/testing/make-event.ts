import { randomUUID } from 'node:crypto'
import { identifyEvent, type Reception } from '../event-identity.ts'
import { type StatusEvent, type StatusReport, statusReportSchema } from '../status-event.ts'

/** A report for tests: `delivered`, with a unique notification id. `fields` override. */
export function makeReport(fields: Record<string, unknown> = {}): StatusReport {
  return statusReportSchema.parse({
    notification_id: `n-${randomUUID()}`,
    status: 'delivered',
    ...fields,
  })
}

/** An accepted event for tests: an e-mail that source `test` reported just now. `reception` overrides. */
export function makeEvent(
  fields: Record<string, unknown> = {},
  reception: Partial<Reception> = {},
): StatusEvent {
  return identifyEvent(makeReport(fields), {
    type: 'email',
    source: 'test',
    receivedAt: new Date(),
    ...reception,
  })
}
