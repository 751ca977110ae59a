import { eventFields } from '@tidings/queue/dead-letter-entry'
import { buryEvents, type DeadLetterQueue, type Death } from '@tidings/queue/dead-letters'
import { withoutTraces } from '@tidings/queue/erase-traces'

/**
 * Writes dead letters; resolves when all are durable, to how many of them were there before. Safe to repeat.
 */
export type Bury = (deaths: readonly Death[]) => Promise<number>

/**
 * Burial as the worker does it: an event that was on its way when its user was erased no longer says whose it
 * was.
 *
 * @param findErased which of these user ids are of erased users; ids in lower case.
 */
export function createBury(
  deadLetters: DeadLetterQueue,
  findErased: (userIds: readonly string[]) => Promise<ReadonlySet<string>>,
): Bury {
  return async (deaths) => {
    const owners = deaths.map((death) => eventFields(death.event).userId?.toLowerCase())
    const erased = await findErased(owners.filter((owner) => owner !== undefined))
    return buryEvents(
      deadLetters,
      deaths.map((death, index) => (erased.has(owners[index] ?? '') ? withoutTraces(death) : death)),
    )
  }
}
