import { parseBody } from '../payload.ts'
import type { HookPayload, HookRequest, Receiver } from '../provider.ts'
import { mapSendgrid } from './map.ts'
import { verifySendgrid } from './verify.ts'

/** SendGrid's signed event webhook: a JSON array of events. */
export const sendgridReceiver: Receiver = {
  provider: 'sendgrid',
  credential: 'public_key',
  maxBytes: 1024 * 1024,
  verify: verifySendgrid,
  read: readSendgrid,
}

function readSendgrid({ body, now }: HookRequest): HookPayload {
  const parsed = parseBody(body)
  if ('problem' in parsed) return { kind: 'unreadable', problem: parsed.problem }
  if (!Array.isArray(parsed.value)) return { kind: 'unreadable', problem: 'The body is no array of events.' }
  return { kind: 'events', events: parsed.value.map((event) => mapSendgrid(event, now)) }
}
