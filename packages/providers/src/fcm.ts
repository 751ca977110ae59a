import type { ErrorClass, Status } from '@tidings/shared/status-event'
import { z } from 'zod'
import { maybe, maybeText } from './lenient.ts'
import { type PushReport, toPushReport } from './push-answer.ts'

const bodySchema = z
  .object({
    name: maybeText,
    error: maybe(
      z.object({
        message: maybeText,
        status: maybeText,
        details: z.array(z.object({ errorCode: maybeText }).catch({})).catch([]),
      }),
    ),
  })
  .catch({})

type Meaning = [Status, ErrorClass]
const LATER: Meaning = ['deferred', 'transient']
const CONFIG: Meaning = ['failed', 'config']

/** https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode */
const MEANINGS = new Map<string, Meaning>([
  // The token is not in use any more, so its device is marked invalid.
  ['UNREGISTERED', ['bounced', 'permanent']],
  ['SENDER_ID_MISMATCH', CONFIG],
  ['THIRD_PARTY_AUTH_ERROR', CONFIG],
  ['QUOTA_EXCEEDED', LATER],
  ['UNAVAILABLE', LATER],
  ['INTERNAL', LATER],
  ['INVALID_ARGUMENT', ['failed', 'permanent']],
])

/**
 * Makes a report of FCM's answer to the sending of one message (HTTP v1). Never throws.
 *
 * @param response its status code and its body, parsed as JSON where it is JSON.
 */
export function fromFcm(response: { status: number; body: unknown }): PushReport {
  const { status, body } = response
  const { name, error } = bodySchema.parse(body)
  if (status === 200) return toPushReport({ provider: 'fcm', status: 'sent', messageId: name })
  const code =
    error?.details.find(({ errorCode }) => errorCode)?.errorCode || error?.status || `HTTP_${status}`
  const [meaning, errorClass] = MEANINGS.get(code) ?? byStatus(status)
  return toPushReport({
    provider: 'fcm',
    status: meaning,
    error: { code, class: errorClass, message: error?.message },
  })
}

/** For answers without a known code, such as those of a proxy. A 404 alone may be a wrong project. */
function byStatus(status: number): Meaning {
  if (status === 429 || status >= 500) return LATER
  return [401, 403, 404].includes(status) ? CONFIG : ['failed', 'permanent']
}
