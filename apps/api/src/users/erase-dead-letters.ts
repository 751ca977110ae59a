import type { QueueBackend } from '@tidings/queue/backend'
import { type DeadLetterEntry, MAX_BATCH, SCAN_PAGE } from '@tidings/queue/dead-letter-entry'
import { scanDeadLetters } from '@tidings/queue/dead-letter-store'
import { withoutTraces } from '@tidings/queue/erase-traces'
import { openDeadLetters } from '@tidings/queue/open-dead-letters'
import { throttledWarning } from '@tidings/queue/status-events'
import { AppError } from '@tidings/shared/errors'
import type { Logger } from '@tidings/shared/log'
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

export interface DeadLetterEraser {
  erase: EraseElsewhere
  close(): Promise<void>
}

/**
 * Clears a user out of the dead letters: those reported for the user, and those whose text holds the
 * address. Each stays an entry, so that no acknowledged event goes missing, without what says whose it was.
 */
export function createDeadLetterEraser(options: DeadLetterEraserOptions): DeadLetterEraser {
  const onError = throttledWarning(options.log, 'dead letter connection')
  const repeats = new Set<NodeJS.Timeout>()
  let repeating: Promise<unknown> = Promise.resolve()

  function repeatLater(user: { id: string; email: string }) {
    const timer = setTimeout(() => {
      repeats.delete(timer)
      repeating = clear(user).catch(onError)
    }, REPEAT_AFTER_MS)
    timer.unref()
    repeats.add(timer)
  }

  async function clear({ id, email }: { id: string; email: string }): Promise<void> {
    const store = await openDeadLetters({ ...options, onError }).catch((error: unknown) => {
      throw unavailable(error)
    })
    try {
      const address = email.toLowerCase()
      for await (const page of scanDeadLetters(store, { pageSize: SCAN_PAGE })) {
        const theirs = page.map(({ entry }) => entry).filter((entry) => concerns(entry, id, address))
        for (let from = 0; from < theirs.length; from += MAX_BATCH) {
          const batch = theirs.slice(from, from + MAX_BATCH)
          await store.rewrite(
            batch.map((entry) => entry.id),
            withoutTraces,
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
      await clear(user)
      repeatLater(user)
    },
    async close() {
      for (const timer of repeats) clearTimeout(timer)
      await repeating
    },
  }
}

function concerns({ event, error, history }: DeadLetterEntry, userId: string, address: string): boolean {
  const text = JSON.stringify([event, error, history]).toLowerCase()
  return text.includes(userId) || text.includes(address)
}

const unavailable = (cause: unknown) =>
  new AppError('unavailable', 'The account cannot be erased completely right now. Try again shortly.', {
    cause,
  })
