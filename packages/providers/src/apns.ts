import type { ErrorClass, Status } from '@tidings/shared/status-event'
import { z } from 'zod'
import { maybe } from './lenient.ts'
import { type PushReport, toPushReport } from './push-answer.ts'
import { toTimestamp } from './report.ts'

const bodySchema = z
  .object({
    reason: maybe(z.string().min(1)),
    timestamp: maybe(z.number()),
  })
  .catch({})

/** Reasons that are about the sender's key, certificate or topic, and have a status code of others. */
const CONFIG_REASONS = ['BadTopic', 'DeviceTokenNotForTopic', 'MissingTopic', 'TopicDisallowed']

/**
 * Makes a report of APNs' answer to the sending of one message. Never throws.
 *
 * https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
 *
 * @param response its status code, its header `apns-id`, and its body, parsed as JSON where there is one.
 */
export function fromApns(
  response: { status: number; apnsId?: string | undefined; body?: unknown },
  now: Date = new Date(),
): PushReport {
  const { status, apnsId } = response
  const { reason = `HTTP_${status}`, timestamp } = bodySchema.parse(response.body)
  const answer = { provider: 'apns', messageId: apnsId }
  if (status === 200) return toPushReport({ ...answer, status: 'sent' })
  // A token that expired is as unregistered as one that was given up. The time is when Apple learned it: a device that
  // registered the token again since then stays valid.
  if (status === 410) {
    return toPushReport({
      ...answer,
      status: 'bounced',
      timestamp: timestamp === undefined ? undefined : toTimestamp(timestamp, now),
      error: { code: 'Unregistered', class: 'permanent', message: reason },
    })
  }
  const [meaning, errorClass] = classify(status, reason)
  return toPushReport({
    ...answer,
    status: meaning,
    error: { code: reason, class: errorClass, message: reason },
  })
}

function classify(status: number, reason: string): [Status, ErrorClass] {
  if (reason === 'BadDeviceToken') return ['bounced', 'permanent']
  if (status === 429 || status >= 500 || reason === 'IdleTimeout') return ['deferred', 'transient']
  if (status === 403 || CONFIG_REASONS.includes(reason)) return ['failed', 'config']
  return ['failed', 'permanent']
}
