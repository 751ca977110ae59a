import type { OutboundJob } from '@tidings/shared/outbound-message'

/** Part of what POST /api/v1/email/status/ takes. */
export interface StatusOfMessage {
  status: 'sent' | 'deferred' | 'failed' | 'bounced'
  /** 1 for the first attempt. */
  attempt: number
  error?: { code: string; class: 'transient' | 'permanent' | 'config'; message: string }
}

export type Report = (message: OutboundJob, status: StatusOfMessage) => Promise<void>

const TIMEOUT_MS = 10_000

/** Makes the function that reports a status to Tidings. It throws when the report should be repeated later. */
export function createReporter({ apiUrl, serviceKey }: { apiUrl: string; serviceKey: string }): Report {
  const url = `${apiUrl.replace(/\/+$/, '')}/api/v1/email/status/`
  return async ({ id, user_id }, { status, attempt, error }) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${serviceKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        notification_id: id,
        user_id,
        status,
        attempt,
        error,
        // A repeat of this report stores nothing.
        event_id: `${id}:${attempt}:${status}`,
      }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    await response.body?.cancel()
    // 409: an earlier report of this attempt arrived, and the SMTP server has worded its answer differently since.
    if (!response.ok && response.status !== 409)
      throw new Error(`Tidings answered a report with ${response.status}`)
  }
}
