import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'

/** Totals over all processes, past and present; see the table for what each is worth. */
export interface IngestTotals {
  accepted: number
  stored: number
  duplicate: number
  redelivered: number
}

/** Opens an account for a process or one of its lanes. @returns its id. */
export async function openIngestAccount(pool: pg.Pool, role: 'api' | 'worker'): Promise<string> {
  const processId = uuidv7()
  await pool.query('INSERT INTO ingest_accounts (process_id, role) VALUES ($1, $2)', [processId, role])
  return processId
}

/**
 * Writes how much a process has accepted since it started. The total, not a difference: repeating it is
 * harmless. Creates the account if the database was away when the process started.
 */
export async function bookAccepted(pool: pg.Pool, processId: string, accepted: number): Promise<void> {
  await pool.query(
    `INSERT INTO ingest_accounts (process_id, role, accepted) VALUES ($1, 'api', $2)
     ON CONFLICT (process_id) DO UPDATE SET accepted = excluded.accepted, updated_at = now()`,
    [processId, accepted],
  )
}

/** Adds what was found already stored: as a repeat by the producer, or in a job that was delivered again. */
export async function bookRepeats(
  pool: pg.Pool,
  processId: string,
  repeats: { duplicate: number; redelivered: number },
): Promise<void> {
  await pool.query(
    `UPDATE ingest_accounts SET duplicate = duplicate + $2, redelivered = redelivered + $3, updated_at = now()
     WHERE process_id = $1`,
    [processId, repeats.duplicate, repeats.redelivered],
  )
}

/** All accounts added up. */
export async function readIngestTotals(pool: pg.Pool): Promise<IngestTotals> {
  const { rows } = await pool.query<Record<keyof IngestTotals, string>>(
    `SELECT coalesce(sum(accepted), 0) AS accepted, coalesce(sum(stored), 0) AS stored,
       coalesce(sum(duplicate), 0) AS duplicate, coalesce(sum(redelivered), 0) AS redelivered
     FROM ingest_accounts`,
  )
  const [row] = rows
  return {
    accepted: Number(row?.accepted ?? 0),
    stored: Number(row?.stored ?? 0),
    duplicate: Number(row?.duplicate ?? 0),
    redelivered: Number(row?.redelivered ?? 0),
  }
}

/**
 * Adds the accounts of processes that ended over a day ago into one, so that the table stays small.
 */
export async function mergeOldAccounts(pool: pg.Pool): Promise<void> {
  await pool.query(`
    WITH old AS (
      DELETE FROM ingest_accounts WHERE updated_at < now() - interval '1 day' AND role <> 'archive' RETURNING *
    )
    INSERT INTO ingest_accounts (process_id, role, accepted, stored, duplicate, redelivered)
    SELECT '00000000-0000-0000-0000-000000000000', 'archive', sum(accepted), sum(stored), sum(duplicate),
      sum(redelivered)
    FROM old HAVING count(*) > 0
    ON CONFLICT (process_id) DO UPDATE SET
      accepted = ingest_accounts.accepted + excluded.accepted, stored = ingest_accounts.stored + excluded.stored,
      duplicate = ingest_accounts.duplicate + excluded.duplicate,
      redelivered = ingest_accounts.redelivered + excluded.redelivered, updated_at = now()`)
}
