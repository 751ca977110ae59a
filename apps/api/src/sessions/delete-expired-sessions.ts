import type { Database } from '@tidings/db/database'
import { deleteExpiredSessions } from '@tidings/db/users/sessions'
import type { Logger } from '@tidings/runtime/log'
import { runRegularly } from '@tidings/runtime/regular-task'
import { errorMessage } from '@tidings/shared/errors'

const INTERVAL_MS = 60_000

/**
 * Deletes a batch of expired sessions now and once a minute. A login deletes its user's expired sessions, but a
 * user who never returns would leave an IP address stored forever.
 *
 * @returns a function that stops, and resolves when the current run has ended.
 */
export const deleteExpiredSessionsRegularly = (db: Database, log: Logger): (() => Promise<void>) =>
  runRegularly({
    run: () => deleteExpiredSessions(db),
    intervalMs: INTERVAL_MS,
    onFailure: (error) =>
      log.debug({ error: errorMessage(error) }, 'expired sessions not deleted; the next run tries again'),
  })
