import { buryEvents, type DeadLetterQueue, type Death } from '@tidings/queue/dead-letters'
import { clearErased, type FindErased } from '@tidings/queue/erase-traces'

/**
 * Writes dead letters; resolves when all are durable, to how many of them were there before. Safe to repeat.
 * `beforeAdding` rejects where they are no longer the caller's to bury.
 */
export type Bury = (deaths: readonly Death[], beforeAdding?: () => Promise<void>) => Promise<number>

/**
 * Burial as the worker does it: an event that was on its way when its user was erased no longer says whose it
 * was.
 */
export function createBury(deadLetters: DeadLetterQueue, findErased: FindErased): Bury {
  return async (deaths, beforeAdding) =>
    buryEvents(deadLetters, await clearErased(deaths, findErased), beforeAdding)
}
