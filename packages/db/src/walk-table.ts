import type { Database } from './database.ts'

/** Blocks of 8 KB in one statement: about five thousand events. It bounds how long others wait for locks. */
const STEP_BLOCKS = 128

interface WalkOptions {
  /** Of rows to delete, with $1, $2 … for the values. */
  condition: string
  values: readonly unknown[]
  signal?: AbortSignal | undefined
  /** Called after each statement with the rows deleted by it. */
  onStep?(rows: number): void
}

/**
 * Deletes rows in the order in which they lie on disk, a few at a time, each statement in its own transaction. It needs
 * no index, reads each block once, and may be interrupted and repeated.
 *
 * @param table a name from the catalog: a table or one partition.
 * @returns the number of rows deleted.
 */
export async function deleteInSteps(db: Database, table: string, options: WalkOptions): Promise<number> {
  const { condition, values, signal, onStep } = options
  const { rows } = await db.pool.query<{ blocks: number }>(
    `SELECT ceil(pg_relation_size(to_regclass($1)) / current_setting('block_size')::numeric)::int AS blocks`,
    [table],
  )
  const blocks = rows[0]?.blocks ?? 0
  let deleted = 0
  for (let from = 0; from < blocks && !signal?.aborted; from += STEP_BLOCKS) {
    const { rowCount } = await db.pool.query(
      `DELETE FROM ONLY ${table} WHERE ctid >= '(${from},0)'::tid AND ctid < '(${from + STEP_BLOCKS},0)'::tid
         AND (${condition})`,
      [...values],
    )
    deleted += rowCount ?? 0
    onStep?.(rowCount ?? 0)
  }
  return deleted
}
