import { identifyEvent } from '@tidings/shared/event-identity'
import { statusEventSchema, statusReportSchema, unresolvedEventSchema } from '@tidings/shared/status-event'
import { expect } from 'vitest'
import type { HookPayload, MappedEvent, ProviderReport } from '../provider.ts'

/** Checks that the API and the worker take every report of a payload. Returns how many there are. */
export function checkPayload(payload: HookPayload): number {
  if (payload.kind !== 'events') return 0
  return payload.events.filter(checkEvent).length
}

function checkEvent(event: MappedEvent): boolean {
  if (event.outcome !== 'report') return false
  const { report, type } = event
  statusReportSchema.parse({ ...report, notification_id: report.notification_id ?? 'n' })
  expect(report.event_id).toEqual(expect.any(String))
  const stored = identify(report, { type, source: 'hook', receivedAt: new Date(), feedback: true })
  const schema = stored.notification_id === undefined ? unresolvedEventSchema : statusEventSchema
  schema.parse(JSON.parse(JSON.stringify(stored)))
  return true
}

function identify(report: ProviderReport, reception: Parameters<typeof identifyEvent>[1]) {
  const { notification_id, provider, provider_message_id, ...rest } = report
  if (notification_id !== undefined)
    return identifyEvent({ ...rest, provider, provider_message_id, notification_id }, reception)
  if (provider === undefined || provider_message_id === undefined)
    throw new Error('It names neither a notification nor a message')
  return identifyEvent({ ...rest, provider, provider_message_id }, reception)
}
