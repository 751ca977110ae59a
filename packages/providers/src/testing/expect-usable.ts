import { identifyEvent } from '@tidings/shared/event-identity'
import { statusEventSchema, statusReportSchema, unresolvedEventSchema } from '@tidings/shared/status-event'
import { expect } from 'vitest'
import type { HookPayload, MappedEvent, ProviderReport } from '../provider.ts'

/**
 * Whatever was sent: the API accepts each report and the worker stores it, once its notification is known.
 *
 * @returns how many reports there are.
 */
export function expectUsable(payload: HookPayload): number {
  return payload.kind === 'events' ? payload.events.filter(expectUsableEvent).length : 0
}

function expectUsableEvent(event: MappedEvent): boolean {
  if (event.outcome !== 'report') return false
  const { report, type } = event
  const accepted = statusReportSchema.safeParse({ ...report, notification_id: report.notification_id ?? 'n' })
  expect(accepted.error?.issues).toBeUndefined()
  expect(report.event_id).toBeDefined()
  const stored = identify(report, { type, source: 'hook', receivedAt: new Date(), feedback: true })
  const schema = stored.notification_id === undefined ? unresolvedEventSchema : statusEventSchema
  expect(schema.safeParse(JSON.parse(JSON.stringify(stored))).error?.issues).toBeUndefined()
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
