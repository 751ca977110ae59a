import { createHmac, timingSafeEqual } from 'node:crypto'
import type { StatusEvent, UnresolvedEvent } from './status-event.ts'

/**
 * Marks an event whose reporter may suppress recipients: a provider's verified receiver, or a key with
 * `feedback:write`. It is a signature, because others write to the queue too: a producer that marks its own event
 * changes nothing.
 *
 * @param key RECIPIENT_KEY.
 * @returns 32 hex digits.
 */
export const signFeedback = (key: string, event: StatusEvent | UnresolvedEvent): string =>
  signatureOf(key, event).toString('hex')

/** Whether a trusted reporter marked the event, and nothing that has consequences was changed since. */
export function isTrusted(key: string, event: StatusEvent | UnresolvedEvent): boolean {
  if (event.feedback === undefined) return false
  return timingSafeEqual(signatureOf(key, event), Buffer.from(event.feedback, 'hex'))
}

/** Everything that decides whom an event suppresses, and for how long. */
function signatureOf(key: string, event: StatusEvent | UnresolvedEvent): Buffer {
  const { error } = event
  const { code, class: errorClass, message } = typeof error === 'object' ? error : { message: error }
  const signed = [
    ...[event.id, event.source, event.notification_type, event.notification_id, event.attempt, event.status],
    ...[event.recipient_digest, event.user_id, event.category, event.timestamp, event.received_at],
    ...[code, errorClass, message],
  ]
  return createHmac('sha256', key)
    .update(`feedback:${JSON.stringify(signed.map((value) => value ?? null))}`)
    .digest()
    .subarray(0, 16)
}
