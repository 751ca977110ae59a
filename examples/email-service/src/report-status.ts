import { type Producer, ProducerError } from '@tidings/producer'
import type { OutboundJob } from '@tidings/shared/outbound-message'

/** Part of what a producer reports. */
export interface StatusOfMessage {
  status: 'sent' | 'deferred' | 'failed' | 'bounced'
  /** 1 for the first attempt. */
  attempt: number
  error?: { code: string; class: 'transient' | 'permanent' | 'config'; message: string }
}

export type Report = (message: OutboundJob, status: StatusOfMessage) => Promise<void>

/** Makes the function that reports a status to Tidings. It throws when the report should be repeated later. */
export function createReporter(producer: Producer): Report {
  return async ({ id, user_id }, { status, attempt, error }) => {
    // A repeat of this report stores nothing.
    const event_id = `${id}:${attempt}:${status}`
    const event = {
      notification_type: 'email',
      notification_id: id,
      user_id,
      status,
      attempt,
      error,
      event_id,
    } as const
    try {
      await producer.report(event)
    } catch (refusal) {
      // An earlier report of this attempt arrived, and the SMTP server has worded its answer differently since.
      if (!(refusal instanceof ProducerError && refusal.code === 'conflict')) throw refusal
    }
  }
}
