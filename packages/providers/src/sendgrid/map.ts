import { categorySchema, LIMITS, type Status } from '@tidings/shared/status-event'
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

/** https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event */
const eventSchema = z.object({
  event: z.string().min(1),
  email: maybeText,
  timestamp: maybe(z.number()),
  sg_event_id: maybeText,
  sg_message_id: maybeText,
  type: maybeText,
  reason: maybeText,
  response: maybeText,
  status: maybeText,
  bounce_classification: maybeText,
  asm_group_id: maybe(z.int()),
  sg_machine_open: maybe(z.boolean()),
  category: z.union([z.string().transform((name) => [name]), z.array(z.unknown())]).catch([]),
  /** The sender's custom arguments are members of the event. SendGrid has an `attempt` of its own. */
  notification_id: z.unknown().optional(),
  user_id: z.unknown().optional(),
  notification_attempt: z.unknown().optional(),
})
type SendgridEvent = z.infer<typeof eventSchema>

/** Maps one event of the array that SendGrid posts. */
export function mapSendgrid(raw: unknown, now: Date): MappedEvent {
  const parsed = eventSchema.safeParse(raw)
  if (!parsed.success) return invalid('It is no object with the text "event".', raw)
  const event = parsed.data
  const decided = decide(event)
  if (decided === undefined) return ignored(event.event)
  if (decided === MACHINE_OPEN) return ignored(MACHINE_OPEN)
  const { sg_message_id, sg_event_id, email, timestamp } = event
  return mapReport(
    {
      provider: 'sendgrid',
      type: 'email',
      status: decided.status,
      error: decided.error,
      eventId: sg_event_id || digestId(event.event, sg_message_id, email, timestamp),
      // The rest names the recipient of a message to many. The sender learns the first part: X-Message-Id.
      messageId: sg_message_id?.split('.', 1)[0],
      timestamp: timestamp === undefined ? undefined : toTimestamp(timestamp * 1000, now),
      recipient: email,
      sender: readSenderFields({
        notification_id: event.notification_id,
        user_id: event.user_id,
        attempt: event.notification_attempt,
        category: event.category.find((name) => categorySchema.safeParse(name).success),
      }),
      metadata: {
        bounce_classification: toId(event.bounce_classification, LIMITS.categoryLength),
        asm_group_id: event.asm_group_id,
      },
    },
    raw,
  )
}

type Decided = { status: Status; error?: ErrorParts } | typeof MACHINE_OPEN | undefined

function decide(event: SendgridEvent): Decided {
  switch (event.event) {
    case 'processed':
      return { status: 'sent' }
    case 'delivered':
      return { status: 'delivered' }
    case 'deferred':
      return { status: 'deferred', error: errorOf(event, 'transient') }
    case 'bounce':
      return { status: 'bounced', error: errorOf(event, isHard(event) ? 'permanent' : 'transient') }
    case 'dropped':
      return isSendersMistake(event)
        ? { status: 'failed', error: errorOf(event, 'config') }
        : { status: 'suppressed', error: errorOf(event, 'permanent') }
    case 'open':
      return event.sg_machine_open ? MACHINE_OPEN : { status: 'opened' }
    case 'click':
      return { status: 'clicked' }
    case 'spamreport':
      return { status: 'complained' }
    case 'unsubscribe':
    case 'group_unsubscribe':
      return { status: 'unsubscribed' }
    default:
      return undefined
  }
}

function errorOf({ reason, response, status }: SendgridEvent, errorClass: ErrorParts['class']): ErrorParts {
  const message = reason || response
  return { code: findSmtpCode(message, status), class: errorClass, message }
}

/** `blocked` says nothing about the address. Very old events have no type. */
const isHard = ({ type, status }: SendgridEvent): boolean =>
  type === undefined ? status?.startsWith('4') !== true : type !== 'blocked'

/** SendGrid drops for a bad address or for what is wrong with the message or the account. */
const isSendersMistake = ({ reason }: SendgridEvent): boolean =>
  /smtpapi|spam content|package quota/i.test(reason ?? '')
