import { buryEvents, type DeadLetterQueue, type Death } from '@tidings/queue/dead-letters/bury'
import { clearErased, type FindErased } from '@tidings/queue/dead-letters/redact'
import type { Recall } from './reconciler.ts'

/**
 * Writes dead letters; resolves when all are durable, to how many of them were there before. Safe to repeat.
 * `beforeAdding` rejects where they are no longer the caller's to bury.
 */
export type Bury = (deaths: readonly Death[], beforeAdding?: () => Promise<void>) => Promise<number>

/**
 * Burial as the worker does it: an event that was on its way when its user was erased no longer says whose it
 * was, and one that came again and was stored by another job meanwhile is dead no more.
 */
export function createBury(deadLetters: DeadLetterQueue, findErased: FindErased, recall: Recall): Bury {
  return async (deaths, beforeAdding) => {
    const deadBefore = await buryEvents(deadLetters, await clearErased(deaths, findErased), beforeAdding)
    await recall.check(deaths)
    return deadBefore
  }
}
