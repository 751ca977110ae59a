import { hash } from 'node:crypto'
import { newEventId } from './event-id.ts'
import { signFeedback } from './feedback.ts'
import { canonicalJson } from './json.ts'
import { DEFAULT_RECIPIENT_KEY, digestRecipient } from './recipient.ts'
import type {
  NotificationType,
  StatusEvent,
  StatusReport,
  UnresolvedEvent,
  UnresolvedReport,
} from './status-event.ts'

export interface Reception {
  type: NotificationType
  /** Name of the service key, or of the queue when a producer enqueued the job itself. */
  source: string
  receivedAt: Date
  /** The secret key of recipients' digests. */
  recipientKey?: string
  /** Whether the reporter may suppress recipients; see signFeedback. */
  feedback?: boolean
  /** The Idempotency-Key header. The report's own event_id takes precedence. */
  idempotencyKey?: string | undefined
  /** Used when the report has no key and no timestamp: a redelivered job then gives the same id. */
  fallbackKey?: string
}

/**
 * Gives a report its id, which never changes afterwards:
 * - with an event_id or Idempotency-Key: derived from (source, key), so a repeat is the same event;
 * - with a timestamp from the producer: derived from the whole content;
 * - with neither: a new UUID v7, so every report is a new event.
 */
export function identifyEvent(report: StatusReport, reception: Reception): StatusEvent
export function identifyEvent(report: UnresolvedReport, reception: Reception): UnresolvedEvent
export function identifyEvent(
  report: StatusReport | UnresolvedReport,
  reception: Reception,
): StatusEvent | UnresolvedEvent {
  const { recipientKey = DEFAULT_RECIPIENT_KEY, feedback } = reception
  const event = nameEvent(report, recipientKey, reception)
  return feedback ? { ...event, feedback: signFeedback(recipientKey, event) } : event
}

function nameEvent(
  report: StatusReport | UnresolvedReport,
  recipientKey: string,
  reception: Reception,
): StatusEvent | UnresolvedEvent {
  const { type, source, receivedAt } = reception
  const { recipient, ...rest } = report
  const received_at = receivedAt.toISOString()
  const event = {
    ...rest,
    notification_type: type,
    source,
    received_at,
    timestamp: report.timestamp ?? received_at,
    ...(recipient !== undefined && { recipient_digest: digestRecipient(recipientKey, type, recipient) }),
  }
  const eventId = report.event_id ?? reception.idempotencyKey
  if (eventId !== undefined) {
    return {
      ...event,
      event_id: eventId,
      id: uuidFrom('key', source, eventId),
      content_hash: digest('content', contentOf(report, type)).toString('hex', 0, 16),
    }
  }
  if (report.timestamp !== undefined)
    return { ...event, id: uuidFrom('content', source, contentOf(report, type)) }
  if (reception.fallbackKey !== undefined)
    return { ...event, id: uuidFrom('job', source, reception.fallbackKey) }
  return { ...event, id: newEventId() }
}

function contentOf(report: StatusReport | UnresolvedReport, type: NotificationType): string {
  const { event_id: _key, ...content } = report
  return canonicalJson({ ...content, type })
}

/** SHA-256 over the parts. Each is prefixed with its length, so different lists never hash the same input. */
function digest(...parts: string[]): Buffer {
  return hash('sha256', parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join(''), 'buffer')
}

/** An RFC 9562 version 8 UUID (custom content) from a digest. */
function uuidFrom(...parts: string[]): string {
  const bytes = digest(...parts)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex', 0, 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
