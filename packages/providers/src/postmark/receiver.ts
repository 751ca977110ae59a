import { parseBody } from '../payload.ts'
import type { HookPayload, HookRequest, Receiver } from '../provider.ts'
import { mapPostmark } from './map.ts'
import { verifyPostmark } from './verify.ts'

/** Postmark's webhooks: one record in each request. */
export const postmarkReceiver: Receiver = {
  provider: 'postmark',
  credential: 'secret',
  maxBytes: 1024 * 1024,
  verify: verifyPostmark,
  read: readPostmark,
}

function readPostmark({ body, now }: HookRequest): HookPayload {
  const parsed = parseBody(body)
  if ('problem' in parsed) return { kind: 'unreadable', problem: parsed.problem }
  return { kind: 'events', events: [mapPostmark(parsed.value, now)] }
}
