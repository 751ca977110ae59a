import type { Database } from '@tidings/db/database'
import { deleteExpiredSessions } from '@tidings/db/users/sessions'
import type { Logger } from '@tidings/runtime/log'
import { errorMessage } from '@tidings/shared/errors'

const INTERVAL_MS = 60_000

/**
 * Deletes a batch of expired sessions now and once a minute. A login deletes its user's expired sessions, but a
 * user who never returns would leave an IP address stored forever.
 */
export function deleteExpiredSessionsRegularly(db: Database, log: Logger): { close(): Promise<void> } {
  let lastRun = run()

  async function run(): Promise<void> {
    try {
      await deleteExpiredSessions(db)
    } catch (error) {
      log.debug({ error: errorMessage(error) }, 'expired sessions not deleted; the next run tries again')
    }
  }

  const timer = setInterval(() => {
    lastRun = lastRun.then(run)
  }, INTERVAL_MS)
  timer.unref()
  return {
    async close() {
      clearInterval(timer)
      await lastRun
    },
  }
}
