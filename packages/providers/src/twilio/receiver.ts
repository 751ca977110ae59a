import { z } from 'zod'
import { parseBody } from '../payload.ts'
import type { Receiver } from '../provider.ts'
import { mapTwilio } from './map.ts'
import { queryOf, readForm, verifyTwilio } from './verify.ts'

const jsonSchema = z.record(z.string(), z.unknown())

/** Twilio sends one status at a time. */
export const twilioReceiver: Receiver = {
  provider: 'twilio',
  credential: 'secret',
  maxBytes: 64 * 1024,
  verify: verifyTwilio,
  read({ body, url }) {
    const query = queryOf(url)
    if (!query.has('bodySHA256')) return { kind: 'events', events: [mapTwilio(readForm(body), query)] }
    const parsed = parseBody(body)
    if ('problem' in parsed) return { kind: 'unreadable', problem: parsed.problem }
    const members = jsonSchema.safeParse(parsed.value)
    if (!members.success) return { kind: 'unreadable', problem: 'The body is no JSON object.' }
    return { kind: 'events', events: [mapTwilio(asParameters(members.data), query)] }
  },
}

/** Texts and numbers of a JSON object, as if they were sent as a form. */
const asParameters = (members: Record<string, unknown>): URLSearchParams =>
  new URLSearchParams(
    Object.entries(members).flatMap(([name, value]): [string, string][] =>
      typeof value === 'string' || typeof value === 'number' ? [[name, String(value)]] : [],
    ),
  )
