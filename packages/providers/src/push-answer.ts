import type { ErrorClass, Status, StatusReport } from '@tidings/shared/status-event'
import { LIMITS } from '@tidings/shared/status-event'
import { toId, toText } from './report.ts'

/**
 * A report of the push channel that lacks what only the push service knows. Add `notification_id`, and `recipient`, the
 * token that the message went to: without it no device is marked invalid.
 */
export type PushReport = Omit<StatusReport, 'notification_id'>

export interface PushAnswer {
  provider: string
  status: Status
  messageId?: unknown
  /** When the service learned it. Left out when it is the time of the answer. */
  timestamp?: string | undefined
  error?: { code: string; class: ErrorClass; message: unknown }
}

export function toPushReport({ provider, status, messageId, timestamp, error }: PushAnswer): PushReport {
  return {
    status,
    provider,
    provider_message_id: toId(messageId, LIMITS.notificationIdLength),
    timestamp,
    error: error && {
      code: toText(error.code, LIMITS.errorCodeLength),
      class: error.class,
      message: toText(error.message, LIMITS.errorLength) ?? error.code,
    },
  }
}
