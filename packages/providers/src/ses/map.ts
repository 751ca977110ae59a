import { LIMITS } from '@tidings/shared/status-event'
import type { MappedEvent } from '../provider.ts'
import {
  ignored,
  invalid,
  mapReport,
  readSenderFields,
  type SenderFields,
  toId,
  toTimestamp,
} from '../report.ts'
import { decide, type SesDecision } from './decide.ts'
import { type SesMessage, sesMessageSchema } from './message.ts'

/**
 * Maps one message of SES. It becomes one report for each recipient that it names.
 *
 * @param snsMessageId stays the same when SNS delivers the message again.
 */
export function mapSes(raw: unknown, snsMessageId: string, now: Date): MappedEvent[] {
  const parsed = sesMessageSchema.safeParse(raw)
  if (!parsed.success) return [invalid('It is no object.', raw)]
  const message = parsed.data
  const eventType = message.eventType || message.notificationType
  if (!eventType) return [invalid('It has neither "eventType" nor "notificationType".', raw)]
  const decision = decide(eventType, message)
  if (typeof decision === 'string') return [ignored(decision)]
  const recipients = recipientsOf(decision, message)
  return recipients.map(({ address, error }, index) =>
    mapReport(
      {
        provider: 'ses',
        type: 'email',
        status: decision.status,
        error: error ?? decision.error,
        eventId: recipients.length === 1 ? snsMessageId : `${snsMessageId}#${index}`,
        messageId: message.mail?.messageId,
        timestamp: toTimestamp(Date.parse(decision.time ?? ''), now),
        recipient: address && bareAddress(address),
        sender: senderOf(message, decision),
        metadata: storable(decision.metadata),
      },
      raw,
    ),
  )
}

/** The message's only recipient where the event names none. */
function recipientsOf(
  { recipients }: SesDecision,
  { mail }: SesMessage,
): NonNullable<SesDecision['recipients']> {
  if (recipients !== undefined && recipients.length > 0) return recipients
  const [address, ...others] = mail?.destination ?? []
  return [{ address: others.length === 0 ? address : undefined }]
}

/** SES repeats what the sender wrote, which may be a name and an address. */
const bareAddress = (address: string): string => /<([^<>]+)>\s*$/.exec(address)?.[1] ?? address

/** The values of a tag are a list. */
function senderOf({ mail }: SesMessage, { allCategories }: SesDecision): SenderFields {
  const tags = Object.entries(mail?.tags ?? {}).map(([name, values]) => [
    name,
    Array.isArray(values) ? values[0] : undefined,
  ])
  const { category, ...sender } = readSenderFields(Object.fromEntries(tags))
  return allCategories || category === undefined ? sender : { ...sender, category }
}

const storable = (metadata: SesDecision['metadata'] = {}) =>
  Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => [name, toId(value, LIMITS.categoryLength)]),
  )
