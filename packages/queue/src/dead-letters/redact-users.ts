import { createAddressFinder } from '@tidings/shared/email-mentions'
import { isUuid } from '@tidings/shared/uuid'
import { type DeadLetterEntry, eventFields, MAX_BATCH, SCAN_PAGE } from './entry.ts'
import { redact, redactMentions } from './redact.ts'
import { scanDeadLetters } from './scan.ts'
import type { DeadLetterStore } from './store.ts'

export interface ErasedUser {
  id: string
  email: string
}

/**
 * Removes users from the dead letters. Every entry stays, so that no acknowledged event goes missing:
 * - an entry of the user, or of no user, that mentions the user is redacted;
 * - an entry of another user loses only the texts that mention the user.
 */
export async function redactUsers(
  store: Pick<DeadLetterStore, 'parts' | 'rewrite'>,
  users: readonly ErasedUser[],
): Promise<void> {
  const mentionsUser = createMentionFinder(users)
  const ids = new Set(users.map(({ id }) => id))
  for await (const page of scanDeadLetters(store, { pageSize: SCAN_PAGE })) {
    const mentioning = page
      .map(({ entry }) => entry)
      .filter(({ event, error, history }) => mentionsUser([event, error, history]))
    for (let from = 0; from < mentioning.length; from += MAX_BATCH) {
      const batch = mentioning.slice(from, from + MAX_BATCH)
      await store.rewrite(
        batch.map((entry) => entry.id),
        (entry) => (isOfOtherUser(entry, ids) ? redactMentions(entry, mentionsUser) : redact(entry)),
      )
    }
  }
}

/** Makes a test whether a JSON value contains the id or the address of any of these users. */
function createMentionFinder(users: readonly ErasedUser[]): (part: unknown) => boolean {
  const finders = users.flatMap(({ id, email }) => [
    (json: string) => json.includes(id),
    createAddressFinder(email),
  ])
  return (part) => {
    const json = JSON.stringify(part).toLowerCase()
    return finders.some((isMentionedIn) => isMentionedIn(json))
  }
}

/**
 * Tells whether the event was reported for a user outside `ids`.
 *
 * @param ids in lower case.
 */
function isOfOtherUser({ event }: DeadLetterEntry, ids: ReadonlySet<string>): boolean {
  const owner = eventFields(event).userId?.toLowerCase()
  return owner !== undefined && isUuid(owner) && !ids.has(owner)
}
