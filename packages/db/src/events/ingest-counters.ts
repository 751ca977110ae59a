import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'

/** Totals over all processes, past and present; see the table for what each is worth. */
export interface IngestTotals {
  accepted: number
  stored: number
  duplicate: number
  redelivered: number
  inDoubt: number
}

/** A process, or one of its lanes, on whose account events are booked. */
export interface IngestAccount {
  id: string
  role: 'api' | 'worker'
}

/** A new account. It is in the database from the first booking on. */
export function createIngestAccount(role: IngestAccount['role']): IngestAccount {
  return { id: uuidv7(), role }
}

/**
 * Writes how much a process has accepted since it started, and how much of it was stored directly while a job with
 * the same events may have been added. Totals, not differences: repeating it is harmless.
 */
export async function bookAccepted(
  pool: pg.Pool,
  account: IngestAccount,
  accepted: number,
  inDoubt = 0,
): Promise<void> {
  await pool.query(
    `INSERT INTO ingest_accounts (process_id, role, accepted, in_doubt) VALUES ($1, $2, $3, $4)
     ON CONFLICT (process_id) DO UPDATE SET accepted = excluded.accepted, in_doubt = excluded.in_doubt,
       updated_at = now()`,
    [account.id, account.role, accepted, inDoubt],
  )
}

/** Adds what was found already stored: as a repeat by the producer, or in a job that was delivered again. */
export async function bookRepeats(
  pool: pg.Pool,
  account: IngestAccount,
  repeats: { duplicate: number; redelivered: number },
): Promise<void> {
  await pool.query(
    `INSERT INTO ingest_accounts (process_id, role, duplicate, redelivered) VALUES ($1, $2, $3, $4)
     ON CONFLICT (process_id) DO UPDATE SET duplicate = ingest_accounts.duplicate + excluded.duplicate,
       redelivered = ingest_accounts.redelivered + excluded.redelivered, updated_at = now()`,
    [account.id, account.role, repeats.duplicate, repeats.redelivered],
  )
}

/** All accounts added up. */
export async function readIngestTotals(pool: pg.Pool): Promise<IngestTotals> {
  const { rows } = await pool.query<Record<keyof IngestTotals, string>>(
    `SELECT coalesce(sum(accepted), 0) AS accepted, coalesce(sum(stored), 0) AS stored,
       coalesce(sum(duplicate), 0) AS duplicate, coalesce(sum(redelivered), 0) AS redelivered,
       coalesce(sum(in_doubt), 0) AS "inDoubt"
     FROM ingest_accounts`,
  )
  const [row] = rows
  return {
    accepted: Number(row?.accepted ?? 0),
    stored: Number(row?.stored ?? 0),
    duplicate: Number(row?.duplicate ?? 0),
    redelivered: Number(row?.redelivered ?? 0),
    inDoubt: Number(row?.inDoubt ?? 0),
  }
}

/** Events that APIs stored themselves, past the queue. Less after accounts were merged. */
export async function readStoredByApis(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ stored: string }>(
    `SELECT coalesce(sum(stored), 0) AS stored FROM ingest_accounts WHERE role = 'api'`,
  )
  return Number(rows[0]?.stored ?? 0)
}

/**
 * Adds the accounts of processes that ended over a day ago into one, so that the table stays small.
 */
export async function mergeOldAccounts(pool: pg.Pool): Promise<void> {
  await pool.query(`
    WITH old AS (
      DELETE FROM ingest_accounts WHERE updated_at < now() - interval '1 day' AND role <> 'archive' RETURNING *
    )
    INSERT INTO ingest_accounts (process_id, role, accepted, stored, duplicate, redelivered, in_doubt)
    SELECT '00000000-0000-0000-0000-000000000000', 'archive', sum(accepted), sum(stored), sum(duplicate),
      sum(redelivered), sum(in_doubt)
    FROM old HAVING count(*) > 0
    ON CONFLICT (process_id) DO UPDATE SET
      accepted = ingest_accounts.accepted + excluded.accepted, stored = ingest_accounts.stored + excluded.stored,
      duplicate = ingest_accounts.duplicate + excluded.duplicate,
      redelivered = ingest_accounts.redelivered + excluded.redelivered,
      in_doubt = ingest_accounts.in_doubt + excluded.in_doubt, updated_at = now()`)
}
