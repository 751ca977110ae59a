import { isTrusted } from '@tidings/shared/feedback'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import type { StatusEvent } from '@tidings/shared/status-event'
import type { Database } from '../database.ts'
import { withTransaction } from '../with-transaction.ts'
import { applyConsequences, hasConsequence } from './consequences.ts'
import { CountGroups } from './count-groups.ts'
import { mayHaveLostKey } from './deduplication-window.ts'
import { IS_OWNER, insertEvents } from './insert-events.ts'
import { findRows, findStoredContent } from './stored-content.ts'

interface StoreOptions {
  /** See digestRecipient. Default: the key that everybody knows. */
  recipientKey?: string
  /** Keeps the names that are counted. A process has one. */
  countGroups?: CountGroups
}

/** The outcome of one event of a batch that was written. */
export type StoreOutcome = 'stored' | 'duplicate' | 'conflict' | 'unknown_user' | 'other_user'

const FIND_USERS = `SELECT id FROM users WHERE id = ANY($1::uuid[])`
const FIND_OTHERS = `SELECT (e.place - 1)::int AS index
  FROM unnest($1::uuid[], $2::text[], $3::notification_type[]) WITH ORDINALITY
    AS e(user_id, notification_id, notification_type, place)
  WHERE NOT (${IS_OWNER})`

/**
 * Stores a batch. The first statement stores its rows whole or not at all, with the consequences of those that trusted
 * sources reported. It counts them for the statistics. Storing an event again changes nothing: the same content is a
 * `duplicate`, another content under the same idempotency key a `conflict`. An event that names another user than an
 * earlier event of its notification is `other_user`. Two statements at the same time may store both; readers then go by
 * the first.
 *
 * An event that was received longer ago than keys are kept, such as one of an old dead letter, is a repeat when its
 * notification has a row with its id.
 *
 * @returns the outcome of each event, in order.
 * @throws PostgreSQL's error; classifyFailure tells its class. Some rows may be stored. Storing the batch again is
 *   harmless.
 */
export async function storeStatusEvents(
  db: Database,
  events: readonly StatusEvent[],
  options: StoreOptions = {},
): Promise<StoreOutcome[]> {
  const { recipientKey = DEFAULT_RECIPIENT_KEY, countGroups = new CountGroups() } = options
  const first = selectFirst(events)
  for (const index of await findOldStored(db, events)) first.delete(index)
  const unique = first.size === events.length ? events : events.filter((_, index) => first.has(index))
  const trusted = unique.filter((event) => isTrusted(recipientKey, event))
  const leftIds = trusted.some(hasConsequence)
    ? await insertWithConsequences(db, unique, trusted, { recipientKey, countGroups })
    : await insertEvents(db.pool, unique, trusted, countGroups)
  if (leftIds.size === 0 && unique === events) return events.map(() => 'stored')

  const isStored = (event: StatusEvent, index: number) => first.has(index) && !leftIds.has(event.id)
  const reasons = await explainNotStored(
    db,
    events.filter((event, index) => !isStored(event, index)),
  )
  const outcomes = events.map((event, index) => (isStored(event, index) ? 'stored' : reasons.shift()))
  // No reason found: a concurrent transaction changed the rows between the two statements. Insert these now.
  const raced = events.filter((_, index) => outcomes[index] === undefined)
  const later = raced.length === 0 ? [] : await storeStatusEvents(db, raced, options)
  return outcomes.map((outcome) => outcome ?? later.shift() ?? 'stored')
}

/** Inserts rows and applies their consequences, both or neither. */
async function insertWithConsequences(
  db: Database,
  events: readonly StatusEvent[],
  trusted: readonly StatusEvent[],
  { recipientKey, countGroups }: Required<StoreOptions>,
): Promise<Set<string>> {
  return withTransaction(db.pool, async (client) => {
    const leftIds = await insertEvents(client, events, trusted, countGroups)
    const stored = trusted.filter((event) => !leftIds.has(event.id))
    await applyConsequences(client, stored, recipientKey)
    return leftIds
  })
}

/**
 * Selects what one statement inserts. A batch may hold the same event twice, two contents under one key, or two users
 * of one notification: the first one is inserted.
 *
 * @returns indexes
 */
function selectFirst(events: readonly StatusEvent[]): Set<number> {
  const selected = new Set<number>()
  const ids = new Set<string>()
  const owners = new Map<string, string>()
  events.forEach(({ id, user_id, notification_id, notification_type }, index) => {
    if (ids.has(id)) return
    ids.add(id)
    if (user_id !== undefined) {
      const notification = `${notification_type} ${notification_id}`
      const owner = owners.get(notification) ?? user_id
      if (owner !== user_id) return
      owners.set(notification, owner)
    }
    selected.add(index)
  })
  return selected
}

/** Finds the events whose key may be gone and whose row is there. Returns indexes; nearly always none. */
async function findOldStored(db: Database, events: readonly StatusEvent[]): Promise<number[]> {
  const now = Date.now()
  const old = events.flatMap((event, index) => (mayHaveLostKey(event.received_at, now) ? [index] : []))
  if (old.length === 0) return []
  const stored = await findRows(
    db,
    old.flatMap((index) => events[index] ?? []),
  )
  return old.filter((index) => stored.has(events[index]?.id ?? ''))
}

/** Why each event was not inserted, in order; undefined for an event that could be inserted now. */
async function explainNotStored(
  db: Database,
  events: readonly StatusEvent[],
): Promise<(StoreOutcome | undefined)[]> {
  const hashes = await findStoredContent(db, events)
  const absent = events.filter((event) => !hashes.has(event.id))
  const known = absent.length === 0 ? new Set() : await findUsers(db, absent)
  const others = absent.length === 0 ? new Set() : await findOthers(db, absent)
  return events.map((event) => {
    if (hashes.has(event.id)) return hashes.get(event.id) === event.content_hash ? 'duplicate' : 'conflict'
    if (event.user_id !== undefined && !known.has(event.user_id)) return 'unknown_user'
    return others.has(event) ? 'other_user' : undefined
  })
}

/** Finds the events that name another user than a stored event of their notification. */
async function findOthers(
  db: Database,
  events: readonly StatusEvent[],
): Promise<Set<StatusEvent | undefined>> {
  const { rows } = await db.pool.query<{ index: number }>(FIND_OTHERS, [
    events.map((event) => event.user_id),
    events.map((event) => event.notification_id),
    events.map((event) => event.notification_type),
  ])
  return new Set(rows.map(({ index }) => events[index]))
}

async function findUsers(db: Database, events: readonly StatusEvent[]): Promise<Set<string>> {
  const users = await db.pool.query<{ id: string }>(FIND_USERS, [events.map((event) => event.user_id)])
  return new Set(users.rows.map((row) => row.id))
}
