import type { FailedAttempt } from '@tidings/shared/dead-letter'
import { isEventObject } from './dead-letter-entry.ts'

const ERASED = '[erased]'
/** What says nothing of a person and is worth keeping: the event can still be counted and redriven. */
const KEPT_FIELDS = [
  'id',
  'notification_id',
  'notification_type',
  'status',
  'timestamp',
  'received_at',
  'source',
  'event_id',
  'content_hash',
  'attempt',
  'redrives',
]

/** The parts of a dead letter that may say whose it was. */
interface Traces {
  event: unknown
  error: { code: string; message: string }
  history?: readonly FailedAttempt[]
}

/** The same dead letter without what says whose it was: owner, texts, metadata. */
export function withoutTraces<Letter extends Traces>(letter: Letter): Letter {
  const event = isEventObject(letter.event) ? letter.event : {}
  const kept = Object.entries(event).filter(([name]) => KEPT_FIELDS.includes(name))
  return {
    ...letter,
    event: { ...Object.fromEntries(kept), ...('error' in event && { error: ERASED }) },
    error: { code: letter.error.code, message: ERASED },
    ...(letter.history && { history: letter.history.map((attempt) => ({ ...attempt, message: ERASED })) }),
  }
}
