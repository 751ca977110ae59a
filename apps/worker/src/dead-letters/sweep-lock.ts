import { withTransaction } from '@tidings/db/with-transaction'
import type pg from 'pg'

/** Key of the advisory lock: an arbitrary number that nothing else in this database uses. */
const SWEEP_LOCK = 7_261_002

/**
 * Runs the work while it holds a lock that one process at a time can hold. The lock belongs to an open transaction:
 * PostgreSQL releases it when that ends, also for a killed process, and no pooler hands it to another client.
 *
 * @returns false when another process holds the lock: the work was not run.
 */
export function withSweepLock(pool: pg.Pool, work: () => Promise<void>): Promise<boolean> {
  return withTransaction(pool, async (client) => {
    const { rows } = await client.query<{ locked: boolean }>(
      'SELECT pg_try_advisory_xact_lock($1) AS locked',
      [SWEEP_LOCK],
    )
    if (!rows[0]?.locked) return false
    await work()
    return true
  })
}
