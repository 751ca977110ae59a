import { LIMITS, type Status } from '@tidings/shared/status-event'
import { z } from 'zod'
import { maybe, maybeText } from '../lenient.ts'
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

/** As the sending call takes them. Webhooks have one object instead. */
const tagListSchema = z
  .array(z.object({ name: z.string(), value: z.unknown() }))
  .transform((tags): unknown => Object.fromEntries(tags.map(({ name, value }) => [name, value])))

const eventSchema = z.object({
  type: z.string().min(1),
  /** When it happened. `data.created_at` is when the message was created. */
  created_at: maybeText,
  data: maybe(
    z.object({
      email_id: maybeText,
      to: maybe(z.array(z.string())),
      cc: maybe(z.array(z.string())),
      bcc: maybe(z.array(z.string())),
      tags: z.union([tagListSchema, z.unknown()]).optional(),
      bounce: maybe(z.object({ type: maybeText, subType: maybeText, message: maybeText })),
      failed: maybe(z.object({ reason: maybeText })),
      suppressed: maybe(z.object({ type: maybeText, message: maybeText })),
    }),
  ),
})
type ResendData = NonNullable<z.infer<typeof eventSchema>['data']>

/**
 * Maps a webhook. The events name no client, so an open by a machine cannot be told from one by the reader.
 *
 * @param webhookId of the header: it stays the same when the webhook is repeated.
 * @see https://resend.com/docs/webhooks/event-types
 */
export function mapResend(payload: unknown, webhookId: string | undefined, now: Date): MappedEvent {
  const parsed = eventSchema.safeParse(payload)
  if (!parsed.success) return invalid('The event has no type.', payload)
  const { type, created_at, data } = parsed.data
  const outcome = outcomeOf(type, data)
  if (outcome === undefined) return ignored(type)
  return mapReport(
    {
      provider: 'resend',
      type: 'email',
      status: outcome.status,
      error: outcome.error,
      eventId: webhookId ?? digestId(type, data?.email_id, created_at),
      messageId: data?.email_id,
      timestamp: created_at === undefined ? undefined : toTimestamp(Date.parse(created_at), now),
      recipient: onlyRecipient(data),
      sender: readSenderFields(data?.tags),
      metadata: {
        bounce_type: toId(data?.bounce?.type, LIMITS.categoryLength),
        bounce_subtype: toId(data?.bounce?.subType, LIMITS.categoryLength),
      },
    },
    payload,
  )
}

interface Outcome {
  status: Status
  error?: ErrorParts
}

const STATUSES: Readonly<Record<string, Status>> = {
  'email.sent': 'sent',
  'email.delivered': 'delivered',
  'email.delivery_delayed': 'deferred',
  'email.complained': 'complained',
  'email.opened': 'opened',
  'email.clicked': 'clicked',
}

function outcomeOf(type: string, data: ResendData | undefined): Outcome | undefined {
  switch (type) {
    case 'email.bounced':
      return bounceOf(data?.bounce ?? {})
    case 'email.failed': {
      const reason = data?.failed?.reason
      return { status: 'failed', error: { code: reason, class: 'config', message: reason } }
    }
    case 'email.suppressed':
      return {
        status: 'suppressed',
        error: { code: data?.suppressed?.type, message: data?.suppressed?.message },
      }
    default: {
      // The type may be any text, such as `constructor`.
      const status = Object.hasOwn(STATUSES, type) ? STATUSES[type] : undefined
      return status && { status }
    }
  }
}

/** Subtypes of a message that was not sent, because the address is on a suppression list. */
const SUPPRESSED_SUBTYPES: readonly (string | undefined)[] = ['Suppressed', 'OnAccountSuppressionList']

/** `Undetermined` does not say that the address is wrong, so it is not final. */
function bounceOf({ type, subType, message }: NonNullable<ResendData['bounce']>): Outcome {
  const error: ErrorParts = { code: findSmtpCode(message) ?? subType ?? type, message }
  if (SUPPRESSED_SUBTYPES.includes(subType)) return { status: 'suppressed', error }
  return { status: 'bounced', error: { ...error, class: type === 'Permanent' ? 'permanent' : 'transient' } }
}

/** With several recipients, Resend does not say which one an event is about. The wrong one must not be suppressed. */
function onlyRecipient({ to = [], cc = [], bcc = [] }: Partial<ResendData> = {}): string | undefined {
  const [only, ...others] = [...to, ...cc, ...bcc]
  return others.length === 0 ? only : undefined
}
