import type { QueueBackend } from '@tidings/queue/backend'
import { type DeadLetterEntry, eventFields, MAX_BATCH, SCAN_PAGE } from '@tidings/queue/dead-letters/entry'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { redact, redactMentions } from '@tidings/queue/dead-letters/redact'
import { scanDeadLetters } from '@tidings/queue/dead-letters/store'
import { Batcher } from '@tidings/runtime/batcher'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { createAddressFinder } from '@tidings/shared/email-mentions'
import { AppError } from '@tidings/shared/errors'
import { isUuid } from '@tidings/shared/uuid'
import type { EraseElsewhere } from './erase-user.ts'

interface DeadLetterEraserOptions {
  backend: QueueBackend
  shards: number
  log: Logger
}

/**
 * Time until a second walk. The worker redacts new dead letters of erased users, but does not read the texts of
 * events without an owner. It may be burying one of those during the first walk.
 */
const REPEAT_AFTER_MS = 15_000
/** Users searched for in one walk. Each one makes the walk slower. */
const USERS_PER_WALK = 20

interface ErasedUser {
  id: string
  email: string
}

export interface DeadLetterEraser {
  erase: EraseElsewhere
  /** Cancels second walks, and waits for the running one. */
  close(): Promise<void>
}

/**
 * Removes erased users from the dead letters. Every entry stays, so that no acknowledged event goes missing:
 * - an entry of the user, or of no user, that mentions the user is redacted;
 * - an entry of another user loses only the texts that mention the user.
 *
 * A walk reads all dead letters: 200,000 take some seconds. So one walk runs at a time, and users who are erased
 * during it share the next: a hundred erasures at once must not cause a hundred walks.
 */
export function createDeadLetterEraser(options: DeadLetterEraserOptions): DeadLetterEraser {
  const onError = throttledWarning(options.log, 'dead letter connection')
  const repeats = new Map<string, NodeJS.Timeout>()
  const walks = new Batcher<ErasedUser, void>({
    maxSize: USERS_PER_WALK,
    windowMs: 0,
    maxInFlight: 1,
    async flush(users) {
      await walk(users)
      return users.map(() => undefined)
    },
  })

  function repeatLater(user: ErasedUser) {
    clearTimeout(repeats.get(user.id))
    const timer = setTimeout(() => {
      repeats.delete(user.id)
      walks.add(user).catch(onError)
    }, REPEAT_AFTER_MS)
    timer.unref()
    repeats.set(user.id, timer)
  }

  async function walk(users: readonly ErasedUser[]): Promise<void> {
    const store = await openDeadLetters({ ...options, onError }).catch((error: unknown) => {
      throw unavailable(error)
    })
    const mentionsUser = createMentionFinder(users)
    const ids = new Set(users.map(({ id }) => id))
    try {
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
    } catch (error) {
      throw unavailable(error)
    } finally {
      await store.close()
    }
  }

  return {
    async erase(user) {
      await walks.add(user)
      repeatLater(user)
    },
    async close() {
      for (const timer of repeats.values()) clearTimeout(timer)
      await walks.drain()
    },
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

const unavailable = (cause: unknown) =>
  new AppError('unavailable', 'The account cannot be erased completely right now. Try again shortly.', {
    cause,
  })
