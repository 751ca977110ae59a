import type pg from 'pg'

/** Key of the advisory lock: an arbitrary number that nothing else in this database uses. */
const SWEEP_LOCK = 7_261_002

/**
 * Runs the work while it holds a lock that one process at a time can hold. PostgreSQL releases the lock when its
 * connection ends, so a killed process does not keep it.
 *
 * @returns false when another process holds the lock: the work was not run.
 */
export async function withSweepLock(pool: pg.Pool, work: () => Promise<void>): Promise<boolean> {
  const client = await pool.connect()
  let failure: Error | undefined
  try {
    const { rows } = await client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [
      SWEEP_LOCK,
    ])
    if (!rows[0]?.locked) return false
    await work()
    await client.query('SELECT pg_advisory_unlock($1)', [SWEEP_LOCK])
    return true
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
    throw error
  } finally {
    client.release(failure)
  }
}
