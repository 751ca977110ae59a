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

export interface DeadLetterEraserOptions {
  backend: QueueBackend
  shards: number
  log: Logger
}

/**
 * The worker clears the owner out of what dies after an erasure. It does not read the texts of events without
 * an owner, and may be burying one just now: so all are looked through once more. In milliseconds.
 */
const REPEAT_AFTER_MS = 15_000
/** Users looked for in one walk; each makes it a little slower. */
const USERS_PER_WALK = 20

interface Erased {
  id: string
  email: string
}

export interface DeadLetterEraser {
  erase: EraseElsewhere
  close(): Promise<void>
}

/**
 * Clears a user out of the dead letters: those reported for the user, and those of nobody whose text names the
 * address. Each stays an entry, so that no acknowledged event goes missing, without what says whose it was. Those
 * of another user lose only the texts that name the address: anyone may have it named anywhere, and go.
 *
 * All dead letters are read for that, 200,000 of them in some seconds. So there is one walk at a time, and who is
 * erased during it shares the next: a hundred erasures at once must not be a hundred walks.
 */
export function createDeadLetterEraser(options: DeadLetterEraserOptions): DeadLetterEraser {
  const onError = throttledWarning(options.log, 'dead letter connection')
  const repeats = new Set<NodeJS.Timeout>()
  const walks = new Batcher<Erased, void>({
    maxSize: USERS_PER_WALK,
    windowMs: 0,
    maxInFlight: 1,
    async flush(users) {
      await clear(users)
      return users.map(() => undefined)
    },
  })

  function repeatLater(user: Erased) {
    const timer = setTimeout(() => {
      repeats.delete(timer)
      walks.add(user).catch(onError)
    }, REPEAT_AFTER_MS)
    timer.unref()
    repeats.add(timer)
  }

  async function clear(users: readonly Erased[]): Promise<void> {
    const store = await openDeadLetters({ ...options, onError }).catch((error: unknown) => {
      throw unavailable(error)
    })
    const names = createNameFinder(users)
    const ids = new Set(users.map(({ id }) => id))
    try {
      for await (const page of scanDeadLetters(store, { pageSize: SCAN_PAGE })) {
        const theirs = page
          .map(({ entry }) => entry)
          .filter(({ event, error, history }) => names([event, error, history]))
        for (let from = 0; from < theirs.length; from += MAX_BATCH) {
          const batch = theirs.slice(from, from + MAX_BATCH)
          await store.rewrite(
            batch.map((entry) => entry.id),
            (entry) => (isOfAnother(entry, ids) ? redactMentions(entry, names) : redact(entry)),
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
      for (const timer of repeats) clearTimeout(timer)
      await walks.drain()
    },
  }
}

/** Tells whether a JSON value holds the id or the address of any of these users. */
function createNameFinder(users: readonly Erased[]): (part: unknown) => boolean {
  const finders = users.flatMap(({ id, email }) => [
    (json: string) => json.includes(id),
    createAddressFinder(email),
  ])
  return (part) => {
    const json = JSON.stringify(part).toLowerCase()
    return finders.some((isIn) => isIn(json))
  }
}

/** Whether the event was reported for a user who is not among those. Ids in lower case. */
function isOfAnother({ event }: DeadLetterEntry, ids: ReadonlySet<string>): boolean {
  const owner = eventFields(event).userId?.toLowerCase()
  return owner !== undefined && isUuid(owner) && !ids.has(owner)
}

const unavailable = (cause: unknown) =>
  new AppError('unavailable', 'The account cannot be erased completely right now. Try again shortly.', {
    cause,
  })
