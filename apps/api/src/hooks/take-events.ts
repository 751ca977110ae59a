import type { MappedEvent } from '@tidings/providers/provider'
import { identifyEvent } from '@tidings/shared/event-identity'
import { type AcceptedItem, LIMITS } from '@tidings/shared/status-event'
import { createUnreadableItem } from '@tidings/shared/unreadable-item'
import type { Ingest } from '../status/ingest.ts'
import type { LiveHook } from './find-hook.ts'
import type { HookMetrics } from './hook-metrics.ts'

/** What became of the events of a request. */
export interface HookResult {
  accepted: number
  ignored: number
  /** Events that became dead letters. */
  invalid: number
}

interface TakeOptions {
  hook: LiveHook
  receivedAt: Date
  ingest: Ingest
  recipientKey: string
  metrics: HookMetrics
}

/**
 * Accepts the events of a verified payload, in as many envelopes as they need. The provider repeats the whole payload
 * when one of them is refused; the identity of an event then stores it once.
 *
 * @throws AppError `overloaded`, `unavailable`
 */
export async function takeEvents(events: readonly MappedEvent[], options: TakeOptions): Promise<HookResult> {
  const { hook, ingest, metrics } = options
  const items = events.flatMap((event) => toItem(event, options) ?? [])
  for (let from = 0; from < items.length; from += LIMITS.envelopeEvents)
    await ingest.acceptAll(items.slice(from, from + LIMITS.envelopeEvents))

  const result: HookResult = { accepted: 0, ignored: 0, invalid: 0 }
  for (const event of events) {
    result[OUTCOMES[event.outcome]]++
    if (event.outcome === 'ignored') metrics.countIgnored(hook.provider, event.eventType)
  }
  for (const outcome of Object.values(OUTCOMES)) metrics.countEvents(hook.provider, outcome, result[outcome])
  return result
}

const OUTCOMES = { report: 'accepted', ignored: 'ignored', invalid: 'invalid' } as const

function toItem(event: MappedEvent, options: TakeOptions): AcceptedItem | undefined {
  const { hook, receivedAt, recipientKey } = options
  const { provider, name: source } = hook
  switch (event.outcome) {
    case 'ignored':
      return undefined
    case 'invalid':
      return createUnreadableItem({
        problem: event.problem,
        provider,
        source,
        receivedAt,
        payload: event.raw,
      })
    case 'report': {
      const reception = { type: event.type, source, receivedAt, recipientKey, feedback: true }
      const { notification_id, ...report } = event.report
      if (notification_id !== undefined) return identifyEvent({ ...report, notification_id }, reception)
      const { provider_message_id } = report
      // A receiver calls a report invalid that names neither.
      if (provider_message_id === undefined)
        throw new Error('The report names no notification and no message')
      return identifyEvent({ ...report, provider, provider_message_id }, reception)
    }
  }
}
