import { parseBody } from '../payload.ts'
import type { Receiver } from '../provider.ts'
import { mapResend } from './map.ts'
import { readSignedHeaders, verifyResend } from './verify.ts'

/** Resend sends one event at a time. */
export const resendReceiver: Receiver = {
  provider: 'resend',
  credential: 'secret',
  maxBytes: 1024 * 1024,
  verify: verifyResend,
  read(request) {
    const parsed = parseBody(request.body)
    if ('problem' in parsed) return { kind: 'unreadable', problem: parsed.problem }
    const event = mapResend(parsed.value, readSignedHeaders(request)?.id, request.now)
    return { kind: 'events', events: [event] }
  },
}
