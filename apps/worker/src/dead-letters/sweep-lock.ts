import type pg from 'pg'

/** Any fixed number. */
const SWEEP_LOCK = 7_261_002

/**
 * Runs the work while holding a lock that only one process has. The lock ends with its connection, so a
 * killed process does not keep it.
 *
 * @returns false when another process has it; the work was not run.
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
