import type { FailedAttempt } from '@tidings/shared/dead-letter'
import { eventFields, isEventObject } from './entry.ts'

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
export function redact<Letter extends Traces>(letter: Letter): Letter {
  return {
    ...letter,
    event: redactEvent(letter.event),
    error: { code: letter.error.code, message: ERASED },
    ...(letter.history && { history: letter.history.map((attempt) => ({ ...attempt, message: ERASED })) }),
  }
}

/** What the event of such a dead letter becomes. */
export function redactEvent(event: unknown): Record<string, unknown> {
  const fields = isEventObject(event) ? event : {}
  const kept = Object.entries(fields).filter(([name]) => KEPT_FIELDS.includes(name))
  return { ...Object.fromEntries(kept), ...('error' in fields && { error: ERASED }) }
}

/** Which of these user ids, in lower case, are of users who were erased. */
export type FindErased = (userIds: readonly string[]) => Promise<ReadonlySet<string>>

/** The same dead letters in order, those of erased users without what says whose they were. */
export async function redactErased<Letter extends Traces>(
  letters: readonly Letter[],
  findErased: FindErased,
): Promise<Letter[]> {
  const owners = letters.map(({ event }) => eventFields(event).userId?.toLowerCase())
  const erased = await findErased(owners.filter((owner) => owner !== undefined))
  return letters.map((letter, index) => (erased.has(owners[index] ?? '') ? redact(letter) : letter))
}

/**
 * The same dead letter of somebody else: it keeps its owner, so that it can still be stored for them, and loses the
 * texts, each as a whole, that name the user.
 *
 * @param names whether a JSON value names the user.
 */
export function redactMentions<Letter extends Traces>(
  letter: Letter,
  names: (part: unknown) => boolean,
): Letter {
  const event = isEventObject(letter.event) ? letter.event : {}
  const kept = Object.entries(event).flatMap(([field, value]) => {
    if (field === 'user_id' || KEPT_FIELDS.includes(field) || !names(value)) return [[field, value]]
    return field === 'error' ? [[field, ERASED]] : []
  })
  const blank = <Part extends { message: string }>(part: Part) =>
    names(part.message) ? { ...part, message: ERASED } : part
  return {
    ...letter,
    event: Object.fromEntries(kept),
    error: blank(letter.error),
    ...(letter.history && { history: letter.history.map(blank) }),
  }
}
