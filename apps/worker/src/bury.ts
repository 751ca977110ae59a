import { buryEvents, type DeadLetterQueue, type Death } from '@tidings/queue/dead-letters'
import { clearErased, type FindErased } from '@tidings/queue/erase-traces'

/**
 * Writes dead letters; resolves when all are durable, to how many of them were there before. Safe to repeat.
 */
export type Bury = (deaths: readonly Death[]) => Promise<number>

/**
 * Burial as the worker does it: an event that was on its way when its user was erased no longer says whose it
 * was.
 */
export function createBury(deadLetters: DeadLetterQueue, findErased: FindErased): Bury {
  return async (deaths) => buryEvents(deadLetters, await clearErased(deaths, findErased))
}
