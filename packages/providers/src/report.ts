import { hash } from 'node:crypto'
import { findUnsafeJson } from '@tidings/shared/json'
import {
  type DeliveryError,
  isUsableTime,
  LIMITS,
  type NotificationType,
  STATUSES_WITH_ERROR,
  type Status,
  statusReportSchema,
} from '@tidings/shared/status-event'
import { z } from 'zod'
import type { MappedEvent, Provider, ProviderReport } from './provider.ts'

const { notification_id, user_id, attempt, category } = statusReportSchema.shape

const isStorable = (value: unknown) => findUnsafeJson(value) === undefined

/** Tags and custom arguments are always text. */
const toNumber = (value: unknown) =>
  typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value

/** What the sender put into the message. A value that no report may have counts as absent. */
const senderFieldsSchema = z
  .object({
    notification_id: notification_id.refine(isStorable).optional().catch(undefined),
    user_id: user_id.catch(undefined),
    attempt: z.preprocess(toNumber, attempt).catch(undefined),
    category: category.catch(undefined),
  })
  .catch({})
export type SenderFields = Partial<z.infer<typeof senderFieldsSchema>>

/** Reads them from an object that has them as members, such as the tags of a message. */
export const readSenderFields = (value: unknown): SenderFields => senderFieldsSchema.parse(value)

/** Text that can be stored: cut to `max` characters, without NUL and half characters. */
export function toText(value: unknown, max: number): string | undefined {
  if (typeof value !== 'string') return undefined
  const text = value
    .slice(0, 4 * max)
    .replaceAll('\0', '')
    .trim()
    .slice(0, max)
    .toWellFormed()
  return text === '' ? undefined : text
}

/** An id as it is, or undefined: a part of an id is another id. */
export function toId(value: unknown, max: number): string | undefined {
  if (typeof value !== 'string' || value === '' || value.length > max) return undefined
  return isStorable(value) ? value : undefined
}

/** A stable event id for events that have none. */
export const digestId = (...parts: (string | number | undefined)[]): string =>
  hash('sha256', JSON.stringify(parts.map((part) => part ?? null)))

/** ISO 8601 in UTC. Undefined for a time that no report may have, for example one that is far ahead of `now`. */
export function toTimestamp(ms: number, now: Date): string | undefined {
  const isUsable = isUsableTime(ms) && ms <= now.getTime() + LIMITS.timestampAheadMs
  return isUsable ? new Date(Math.trunc(ms)).toISOString() : undefined
}

export interface ErrorParts {
  code?: string | undefined
  class?: 'transient' | 'permanent' | 'config' | undefined
  message?: string | undefined
}

export interface EventFacts {
  provider: Provider
  type: NotificationType
  status: Status
  error?: ErrorParts | undefined
  /** Identifies the event. A text that is too long is replaced by its digest. */
  eventId: string
  messageId: string | undefined
  timestamp: string | undefined
  recipient: string | undefined
  sender: SenderFields
  metadata?: Record<string, string | number | boolean | undefined> | undefined
}

/**
 * Makes a report that statusReportSchema accepts, whatever the provider wrote.
 *
 * @param raw the event as it came, for the dead letter of one that names neither a notification nor a message.
 */
export function mapReport(facts: EventFacts, raw: unknown): MappedEvent {
  const { provider, type, status, sender } = facts
  const provider_message_id = toId(facts.messageId, LIMITS.notificationIdLength)
  if (sender.notification_id === undefined && provider_message_id === undefined) {
    return invalid('It names neither a notification nor a message.', raw)
  }
  const report: ProviderReport = {
    ...sender,
    status,
    error: toError(status, facts.error),
    timestamp: facts.timestamp,
    event_id: toId(facts.eventId, LIMITS.eventIdLength) ?? digestId(facts.eventId),
    provider,
    provider_message_id,
    recipient: toId(facts.recipient, LIMITS.recipientLength),
    metadata: withoutAbsent(facts.metadata),
  }
  return { outcome: 'report', type, report }
}

export const invalid = (problem: string, raw: unknown): MappedEvent => ({ outcome: 'invalid', problem, raw })
export const ignored = (eventType: string): MappedEvent => ({ outcome: 'ignored', eventType })

function toError(status: Status, parts: ErrorParts = {}): DeliveryError | undefined {
  const code = toText(parts.code, LIMITS.errorCodeLength)
  const message = toText(parts.message, LIMITS.errorLength) ?? code
  if (message === undefined && !STATUSES_WITH_ERROR.includes(status)) return undefined
  return { code, class: parts.class, message: message ?? 'The provider gave no reason.' }
}

/** Undefined when nothing is left. */
function withoutAbsent(metadata: EventFacts['metadata'] = {}): Record<string, unknown> | undefined {
  const entries = Object.entries(metadata).filter(([, value]) => value !== undefined)
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}
