import { LIMITS, type Status } from '@tidings/shared/status-event'
import { z } from 'zod'
import { maybe, maybeText } from '../lenient.ts'
import { MACHINE_OPEN } from '../machine-open.ts'
import type { MappedEvent } from '../provider.ts'
import {
  digestId,
  type ErrorParts,
  ignored,
  invalid,
  mapReport,
  readSenderFields,
  toId,
  toTimestamp,
} from '../report.ts'
import { findSmtpCode } from '../smtp-codes.ts'

const eventSchema = z.object({
  event: z.string().min(1),
  id: maybeText,
  /** Seconds with fractions. */
  timestamp: maybe(z.number()),
  recipient: maybeText,
  severity: maybeText,
  reason: maybeText,
  'delivery-status': maybe(
    z.object({
      code: maybe(z.number()),
      'enhanced-code': maybeText,
      'bounce-type': maybeText,
      message: maybeText,
      description: maybeText,
    }),
  ),
  reject: maybe(z.object({ reason: maybeText, description: maybeText })),
  /** `bot` names the machine that opened or clicked: apple, gmail or generic. */
  'client-info': maybe(z.object({ bot: maybeText })),
  message: maybe(z.object({ headers: z.object({ 'message-id': maybeText }) })),
  /** An empty array when there are none. */
  'user-variables': z.unknown().optional(),
})
type MailgunEvent = z.infer<typeof eventSchema>

/**
 * Maps the `event-data` of a webhook.
 *
 * @see https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads
 */
export function mapMailgun(eventData: unknown, now: Date): MappedEvent {
  const parsed = eventSchema.safeParse(eventData)
  if (!parsed.success) return invalid('The event has no type.', eventData)
  const event = parsed.data
  const outcome = outcomeOf(event)
  if (typeof outcome === 'string') return ignored(outcome)
  const { id, timestamp, recipient, message, reason, 'delivery-status': delivery } = event
  const messageId = message?.headers['message-id']?.replace(/^<(.*)>$/s, '$1')
  return mapReport(
    {
      provider: 'mailgun',
      type: 'email',
      status: outcome.status,
      error: outcome.error,
      eventId: id ?? digestId(event.event, messageId, recipient, timestamp),
      messageId,
      timestamp: timestamp === undefined ? undefined : toTimestamp(timestamp * 1000, now),
      recipient,
      sender: readSenderFields(event['user-variables']),
      metadata: {
        reason: toId(reason, LIMITS.categoryLength),
        bounce_type: toId(delivery?.['bounce-type'], LIMITS.categoryLength),
      },
    },
    eventData,
  )
}

interface Outcome {
  status: Status
  error?: ErrorParts
}

/** The status, or the name under which an event without one is counted. */
function outcomeOf(event: MailgunEvent): Outcome | string {
  const isMachine = Boolean(event['client-info']?.bot)
  switch (event.event) {
    case 'accepted':
      return { status: 'sent' }
    case 'delivered':
    case 'complained':
    case 'unsubscribed':
      return { status: event.event }
    case 'opened':
      return isMachine ? MACHINE_OPEN : { status: 'opened' }
    case 'clicked':
      return isMachine ? 'machine_click' : { status: 'clicked' }
    case 'rejected':
      return { status: 'failed', error: { ...errorOf(event), class: 'config' } }
    case 'failed':
      return failureOf(event)
    default:
      return event.event
  }
}

/** Codes of Mailgun's own, for a recipient that bounced, unsubscribed or complained earlier. */
const SUPPRESSED_CODES: readonly (number | undefined)[] = [605, 606, 607]
/** Reasons that say that the recipient's server refused the address. */
const BOUNCE_REASONS = ['bounce', 'delayed-bounce']

/**
 * Mailgun retries after a temporary failure. A permanent one is final: the server refused the message, or Mailgun gave
 * up after 8 hours (reason `old`). The address is wrong when Mailgun calls the bounce hard, or calls it a bounce only.
 */
function failureOf(event: MailgunEvent): Outcome {
  const { severity, reason = '', 'delivery-status': delivery } = event
  const error = errorOf(event)
  if (severity === 'temporary') return { status: 'deferred', error: { ...error, class: 'transient' } }
  if (reason.startsWith('suppress-') || SUPPRESSED_CODES.includes(delivery?.code))
    return { status: 'suppressed', error }
  const bounceType = delivery?.['bounce-type'] || (BOUNCE_REASONS.includes(reason) ? 'hard' : 'soft')
  return { status: 'bounced', error: { ...error, class: bounceType === 'hard' ? 'permanent' : 'transient' } }
}

function errorOf({ reason, reject, 'delivery-status': delivery }: MailgunEvent): ErrorParts {
  const message =
    delivery?.message || delivery?.description || reject?.description || reject?.reason || reason
  const code = findSmtpCode(message, delivery?.['enhanced-code']) ?? delivery?.code?.toString() ?? reason
  return { code, message }
}
