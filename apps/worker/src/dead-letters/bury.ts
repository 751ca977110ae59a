import { buryEvents, type DeadLetterQueue, type FailedEvent } from '@tidings/queue/dead-letters/bury'
import { type FindErased, redactErased } from '@tidings/queue/dead-letters/redact'
import type { Reconciler } from './reconciler.ts'

/**
 * Writes dead letters; resolves when all are durable, to how many of them were there before. Safe to repeat.
 * `beforeAdding` rejects where they are no longer the caller's to bury.
 */
export type Bury = (
  failedEvents: readonly FailedEvent[],
  beforeAdding?: () => Promise<void>,
) => Promise<number>

/**
 * Burial as the worker does it: an event that was on its way when its user was erased no longer says whose it
 * was, and one that came again and was stored by another job meanwhile is dead no more.
 */
export function createBury(
  deadLetters: DeadLetterQueue,
  findErased: FindErased,
  reconciler: Reconciler,
): Bury {
  return async (failedEvents, beforeAdding) => {
    const alreadyDead = await buryEvents(
      deadLetters,
      await redactErased(failedEvents, findErased),
      beforeAdding,
    )
    await reconciler.check(failedEvents)
    return alreadyDead
  }
}
