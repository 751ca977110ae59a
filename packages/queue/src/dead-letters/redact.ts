import type { FailedAttempt } from '@tidings/shared/dead-letter'
import { eventFields, isEventObject } from './entry.ts'

const ERASED = '[erased]'
/** Fields that say nothing about a person, as rows keep them. With them the event can still be counted and redriven. */
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
  'provider',
  'provider_message_id',
  'redrives',
]

/** The parts of a dead letter that may name a user. */
interface Redactable {
  event: unknown
  error: { code: string; message: string }
  history?: readonly FailedAttempt[]
}

/** Keeps only KEPT_FIELDS of the event and blanks all error messages. */
export function redact<Letter extends Redactable>(letter: Letter): Letter {
  return {
    ...letter,
    event: redactEvent(letter.event),
    error: { code: letter.error.code, message: ERASED },
    ...(letter.history && { history: letter.history.map((attempt) => ({ ...attempt, message: ERASED })) }),
  }
}

function redactEvent(event: unknown): Record<string, unknown> {
  const fields = isEventObject(event) ? event : {}
  const kept = Object.entries(fields).filter(([name]) => KEPT_FIELDS.includes(name))
  return { ...Object.fromEntries(kept), ...('error' in fields && { error: ERASED }) }
}

/** Finds the erased users among these user ids. The ids are in lower case. */
export type FindErased = (userIds: readonly string[]) => Promise<ReadonlySet<string>>

/** Returns the dead letters in order, with those of erased users redacted. */
export async function redactErased<Letter extends Redactable>(
  letters: readonly Letter[],
  findErased: FindErased,
): Promise<Letter[]> {
  const owners = letters.map(({ event }) => eventFields(event).userId?.toLowerCase())
  const erased = await findErased(owners.filter((owner) => owner !== undefined))
  return letters.map((letter, index) => (erased.has(owners[index] ?? '') ? redact(letter) : letter))
}

/**
 * Redacts another user's dead letter: removes each whole field that mentions the erased user. It keeps its own user
 * id, so that it can still be stored. An event that is not an object becomes empty.
 *
 * @param mentionsUser tells whether a JSON value mentions the erased user.
 */
export function redactMentions<Letter extends Redactable>(
  letter: Letter,
  mentionsUser: (part: unknown) => boolean,
): Letter {
  const event = isEventObject(letter.event) ? letter.event : {}
  const kept = Object.entries(event).flatMap(([field, value]) => {
    if (field === 'user_id' || KEPT_FIELDS.includes(field) || !mentionsUser(value)) return [[field, value]]
    return field === 'error' ? [[field, ERASED]] : []
  })
  const blank = <Part extends { message: string }>(part: Part) =>
    mentionsUser(part.message) ? { ...part, message: ERASED } : part
  return {
    ...letter,
    event: Object.fromEntries(kept),
    error: blank(letter.error),
    ...(letter.history && { history: letter.history.map(blank) }),
  }
}
