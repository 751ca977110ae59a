import type { EraseElsewhere } from '@tidings/accounts/erase-user'
import type { QueueBackend } from '@tidings/queue/backend'
import { openDeadLetters } from '@tidings/queue/dead-letters/open'
import { type ErasedUser, redactUsers } from '@tidings/queue/dead-letters/redact-users'
import { Batcher } from '@tidings/runtime/batcher'
import type { Logger } from '@tidings/runtime/log'
import { throttledWarning } from '@tidings/runtime/throttled-warning'
import { cannotErase, REPEAT_AFTER_MS } from './erase-elsewhere.ts'

interface DeadLetterEraserOptions {
  backend: QueueBackend
  shards: number
  log: Logger
}

/** Users searched for in one walk. Each one makes the walk slower. */
const USERS_PER_WALK = 20

export interface DeadLetterEraser {
  erase: EraseElsewhere
  /** Cancels second walks, and waits for the running one. */
  close(): Promise<void>
}

/**
 * Removes erased users from the dead letters, as redactUsers says.
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
      throw cannotErase(error)
    })
    try {
      await redactUsers(store, users)
    } catch (error) {
      throw cannotErase(error)
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
