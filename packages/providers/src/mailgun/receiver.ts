import { z } from 'zod'
import { parseBody } from '../payload.ts'
import type { Receiver } from '../provider.ts'
import { mapMailgun } from './map.ts'
import { REPLAY_WINDOW_MS, replayKeyOf, verifyMailgun } from './verify.ts'

const payloadSchema = z.object({ 'event-data': z.looseObject({}) })

/** Mailgun sends one event at a time. */
export const mailgunReceiver: Receiver = {
  provider: 'mailgun',
  credential: 'secret',
  maxBytes: 1024 * 1024,
  verify: verifyMailgun,
  replayKey: replayKeyOf,
  replayWindowMs: REPLAY_WINDOW_MS,
  read({ body, now }) {
    const parsed = parseBody(body)
    if ('problem' in parsed) return { kind: 'unreadable', problem: parsed.problem }
    const payload = payloadSchema.safeParse(parsed.value)
    if (!payload.success) return { kind: 'unreadable', problem: 'The body is no object with event-data.' }
    return { kind: 'events', events: [mapMailgun(payload.data['event-data'], now)] }
  },
}
