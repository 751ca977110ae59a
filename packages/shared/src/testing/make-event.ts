import { randomUUID } from 'node:crypto'
import { identifyEvent } from '../event-identity.ts'
import {
  type NotificationType,
  type StatusEvent,
  type StatusReport,
  statusReportSchema,
  type UnresolvedEvent,
  type UnresolvedReport,
} from '../status-event.ts'

/** A report as a producer sends it: by default, that a new notification was delivered. */
export function makeReport(fields: Partial<StatusReport> = {}): StatusReport {
  return statusReportSchema.parse({ notification_id: `n-${randomUUID()}`, status: 'delivered', ...fields })
}

/**
 * An event as the API accepts it now, from the source `test`. It has an idempotency key only if `fields` has an
 * `event_id`.
 */
export function makeEvent(fields: Partial<StatusReport> = {}, type: NotificationType = 'email'): StatusEvent {
  return identifyEvent(makeReport(fields), { type, source: 'test', receivedAt: new Date() })
}

/** An event of the provider `ses` that names its message only, as a receiver reports it. */
export function makeUnresolvedEvent(
  fields: Partial<UnresolvedReport> = {},
  isTrusted = true,
): UnresolvedEvent {
  const report: UnresolvedReport = {
    ...{ status: 'delivered', provider: 'ses', provider_message_id: `m-${randomUUID()}` },
    event_id: randomUUID(),
    timestamp: new Date().toISOString(),
    ...fields,
  }
  return identifyEvent(report, { type: 'email', source: 'hook', receivedAt: new Date(), feedback: isTrusted })
}
