import { LIMITS, type Status } from '@tidings/shared/status-event'
import { z } from 'zod'
import { maybe, maybeText } from '../lenient.ts'
import { isMachineUserAgent, MACHINE_OPEN } from '../machine-open.ts'
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
import { findBounceMeaning } from './bounce-types.ts'

/** https://postmarkapp.com/developer/webhooks/webhooks-overview */
const recordSchema = z.object({
  RecordType: z.string().min(1),
  ID: maybe(z.number()),
  Type: maybeText,
  MessageID: maybeText,
  Metadata: z.unknown().optional(),
  Email: maybeText,
  Recipient: maybeText,
  DeliveredAt: maybeText,
  BouncedAt: maybeText,
  ReceivedAt: maybeText,
  ChangedAt: maybeText,
  Description: maybeText,
  Details: maybeText,
  UserAgent: maybeText,
  OriginalLink: maybeText,
  SuppressSending: maybe(z.boolean()),
  SuppressionReason: maybeText,
  Origin: maybeText,
})
type PostmarkRecord = z.infer<typeof recordSchema>

/** Maps what Postmark posts: one record. */
export function mapPostmark(raw: unknown, now: Date): MappedEvent {
  const parsed = recordSchema.safeParse(raw)
  if (!parsed.success) return invalid('It is no object with the text "RecordType".', raw)
  const record = parsed.data
  const decided = decide(record)
  if ('ignored' in decided) return ignored(decided.ignored)
  const { RecordType, ID, Type, MessageID, OriginalLink } = record
  const time = record.DeliveredAt ?? record.BouncedAt ?? record.ReceivedAt ?? record.ChangedAt
  const recipient = record.Email ?? record.Recipient
  return mapReport(
    {
      provider: 'postmark',
      type: 'email',
      status: decided.status,
      error: decided.error,
      // Postmark gives no id to an event, and the same record to every repetition.
      eventId: digestId(RecordType, MessageID, time, ID, Type, recipient, OriginalLink),
      messageId: MessageID,
      timestamp: toTimestamp(Date.parse(time ?? ''), now),
      recipient,
      sender: readSenderFields(record.Metadata),
      metadata: decided.error && { bounce_type: toId(Type, LIMITS.categoryLength) },
    },
    raw,
  )
}

type Decided = { status: Status; error?: ErrorParts } | { ignored: string }

function decide(record: PostmarkRecord): Decided {
  switch (record.RecordType) {
    case 'Delivery':
      return { status: 'delivered' }
    case 'Bounce':
      return decideBounce(record)
    case 'SpamComplaint':
      return { status: 'complained' }
    case 'Open':
      return isMachineUserAgent(record.UserAgent) ? { ignored: MACHINE_OPEN } : { status: 'opened' }
    case 'Click':
      return { status: 'clicked' }
    case 'SubscriptionChange':
      return isUnsubscription(record) ? { status: 'unsubscribed' } : { ignored: record.RecordType }
    default:
      return { ignored: record.RecordType }
  }
}

function decideBounce({ Type = 'Unknown', Description, Details }: PostmarkRecord): Decided {
  const meaning = findBounceMeaning(Type)
  if (meaning === undefined) return { ignored: `Bounce ${Type}` }
  // The mail server's answer; Postmark's own words where there is none.
  const message = Details || Description
  const error = { code: findSmtpCode(message) ?? Type, class: meaning.class, message }
  return meaning.class === undefined ? { status: meaning.status } : { status: meaning.status, error }
}

/**
 * Whether the recipient unsubscribed. Bounces and complaints suppress an address too, and are reported by themselves;
 * so does an operator, which says nothing about a message.
 */
const isUnsubscription = ({ SuppressSending, SuppressionReason, Origin }: PostmarkRecord): boolean =>
  SuppressSending === true && SuppressionReason === 'ManualSuppression' && Origin === 'Recipient'
