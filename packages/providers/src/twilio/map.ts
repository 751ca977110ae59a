import type { Status } from '@tidings/shared/status-event'
import type { MappedEvent } from '../provider.ts'
import { type ErrorParts, ignored, invalid, mapReport, readSenderFields } from '../report.ts'
import { TWILIO_ERRORS, type TwilioError } from './error-codes.ts'

/** The statuses before `sent` are left out: the answer to the sending call says as much. */
const STATUSES: Readonly<Record<string, Status>> = {
  sent: 'sent',
  delivered: 'delivered',
  read: 'opened',
}

/** Where the list has no code. `failed` may be the sender's fault, so it has no class. */
const FAILURES: Readonly<Record<string, TwilioError>> = {
  undelivered: { status: 'bounced', class: 'transient', message: 'The message was not delivered.' },
  failed: { status: 'failed', message: 'The message was not sent.' },
}

/**
 * Maps a status callback. It holds no usable time: RawDlrDoneDate has no time zone. So the time of receipt counts.
 *
 * @param parameters of the body.
 * @param query of the callback URL: the sender put its ids there.
 * @see https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks
 */
export function mapTwilio(parameters: URLSearchParams, query: URLSearchParams): MappedEvent {
  const raw = Object.fromEntries(parameters)
  const read = (name: string) => parameters.get(name) || undefined
  const messageSid = read('MessageSid') ?? read('SmsSid')
  const messageStatus = (read('MessageStatus') ?? read('SmsStatus'))?.toLowerCase()
  // Without the message there is no identity: all such callbacks would be one event.
  if (messageSid === undefined || messageStatus === undefined)
    return invalid('The callback has no MessageSid or no MessageStatus.', raw)
  const code = read('ErrorCode')
  const failure = failureOf(messageStatus, code)
  const status = failure?.status ?? own(STATUSES, messageStatus)
  if (status === undefined) return ignored(messageStatus)
  return mapReport(
    {
      provider: 'twilio',
      type: 'push',
      status,
      error: failure && errorOf(failure, code, read('ErrorMessage')),
      eventId: [messageSid, messageStatus, code].filter((part) => part !== undefined).join(':'),
      messageId: messageSid,
      timestamp: undefined,
      recipient: read('To'),
      sender: readSenderFields(Object.fromEntries(query)),
    },
    raw,
  )
}

function failureOf(status: string, code: string | undefined): TwilioError | undefined {
  const failure = own(FAILURES, status)
  return failure && code !== undefined ? (own(TWILIO_ERRORS, code) ?? failure) : failure
}

const errorOf = (
  failure: TwilioError,
  code: string | undefined,
  message: string | undefined,
): ErrorParts => ({
  code,
  class: failure.class,
  message: message ?? failure.message,
})

/** The name may be any text, such as `constructor`. */
const own = <Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined
