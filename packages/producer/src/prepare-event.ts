import { AppError } from '@tidings/shared/errors'
import { newEventId } from '@tidings/shared/event-id'
import { parseValue } from '@tidings/shared/parse-value'
import { bareEventSchema, type NotificationType } from '@tidings/shared/status-event'
import type { z } from 'zod'
import { invalid } from './errors.ts'

/** What a producer reports: a status, and the type of the notification. */
export type Report = Omit<z.input<typeof bareEventSchema>, 'source'>

/** A valid event on its way. The caller may change its own object meanwhile. */
export interface PreparedEvent {
  type: NotificationType
  /** Stays the same however often the event is sent, so that it is stored once. */
  eventId: string
  /** The event as a JSON object, without its type. */
  json: string
}

/**
 * Checks a report as the API does, and gives it an `event_id` if it has none.
 *
 * @throws ProducerError `invalid_event`
 */
export function prepareEvent(report: unknown): PreparedEvent {
  try {
    const { notification_type: type, source: _, ...event } = parseValue(bareEventSchema, report)
    const eventId = event.event_id ?? newEventId()
    return { type, eventId, json: JSON.stringify({ ...event, event_id: eventId }) }
  } catch (error) {
    if (error instanceof AppError) throw invalid('invalid_event', error.fields)
    // JSON.stringify throws at a bigint, and reading a field throws what a getter throws.
    throw invalid('invalid_event', [
      { pointer: '', code: 'invalid', message: 'It cannot be written as JSON.' },
    ])
  }
}
