import type { Database } from '@tidings/db/database'
import { deleteExpiredSessions } from '@tidings/db/users/sessions'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'

const INTERVAL_MS = 60_000

/**
 * Deletes sessions that are over, some now and some every minute: whose user never logs in again would else keep
 * an address for ever.
 */
export function createSessionCleaner(db: Database, log: Logger): { close(): Promise<void> } {
  let cleaning = clean()

  function clean(): Promise<void> {
    return deleteExpiredSessions(db).then(
      () => {},
      (error: unknown) => log.debug({ error: errorMessage(error) }, 'old sessions not deleted, will be'),
    )
  }

  const timer = setInterval(() => {
    cleaning = cleaning.then(clean)
  }, INTERVAL_MS)
  timer.unref()
  return {
    async close() {
      clearInterval(timer)
      await cleaning
    },
  }
}
