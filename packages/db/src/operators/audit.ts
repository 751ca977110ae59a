import { sql } from 'drizzle-orm'
import { v7 as uuidv7 } from 'uuid'
import type { Database } from '../database.ts'
import { operatorAudit } from '../schema/operator-audit.ts'
import { AUDIT_DELETE, AUDIT_IMPORT, AUDIT_INTENT, AUDIT_STARTED } from './audit-actions.ts'

export interface AuditRecord {
  actor: string
  /** As the command is called: `dlq.redrive`. */
  action: string
  /** The selection as it was asked for: ids or filters. JSON. */
  selector: unknown
  matched: number
  changed: number
  result: string
}

/** @param db the database, or a transaction of it: the row then stands or falls with the change. */
export async function insertAudit(
  db: { orm: Pick<Database['orm'], 'insert'> },
  record: AuditRecord,
): Promise<void> {
  await db.orm.insert(operatorAudit).values({ id: uuidv7(), ...record })
}

/** What operators did to the number of dead letters. */
export interface DeadLetterChanges {
  deleted: number
  imported: number
  /**
   * Entries announced by commands that were killed, or broke, before they could say what they did, and by none
   * since: where they are now tells what was done to them.
   */
  unfinished: { action: string; ids: string[] }[]
}

/** Adds up what the audit table says of deleted and imported dead letters. */
export async function readDeadLetterChanges(db: Database): Promise<DeadLetterChanges> {
  const a = operatorAudit
  const totals = await db.orm
    .select({ action: a.action, changed: sql<string>`sum(${a.changed})` })
    .from(a)
    .where(
      sql`${a.action} IN (${AUDIT_DELETE}, ${AUDIT_IMPORT}) AND ${a.result} NOT IN (${AUDIT_STARTED}, ${AUDIT_INTENT})`,
    )
    .groupBy(a.action)
  const intents = await readOpenIntents(db)
  const changesOf = (action: string) => {
    const said = Number(totals.find((total) => total.action === action)?.changed ?? 0)
    // A deletion announces what it found there, an import what it did not find: the next one saw the change.
    const seen = intents.filter(
      (intent) => intent.action === action && intent.next !== null && intent.next !== action,
    )
    return said + seen.length
  }
  return {
    deleted: changesOf(AUDIT_DELETE),
    imported: changesOf(AUDIT_IMPORT),
    unfinished: [AUDIT_DELETE, AUDIT_IMPORT].map((action) => ({
      action,
      ids: intents
        .filter((intent) => intent.action === action && intent.next === null)
        .map((intent) => intent.entry),
    })),
  }
}

interface OpenIntent {
  action: string
  entry: string
  /** What was announced for the same entry next. */
  next: string | null
}

/**
 * What was announced by commands without an end, entry by entry; of one that broke, the batch that its end leaves
 * open.
 */
async function readOpenIntents(db: Database): Promise<OpenIntent[]> {
  const { rows } = await db.pool.query<OpenIntent>(
    `WITH open AS MATERIALIZED (
       SELECT id, action, selector FROM operator_audit a
       WHERE result = $1 AND NOT EXISTS (
         SELECT FROM operator_audit o
         WHERE o.selector ->> 'run' = a.selector ->> 'run' AND o.action = a.action AND o.result NOT IN ($1, $2)
           AND coalesce(o.selector ->> 'open_batch' <> a.selector ->> 'batch', true))
     ), announced AS MATERIALIZED (
       SELECT a.id, a.action, entry
       FROM operator_audit a CROSS JOIN LATERAL jsonb_array_elements_text(a.selector -> 'ids') AS entry
       WHERE a.result = $1 AND EXISTS (SELECT FROM open WHERE open.id < a.id)
     )
     SELECT DISTINCT ON (open.id, mine.entry) open.action, mine.entry, later.action AS next
     FROM open CROSS JOIN LATERAL jsonb_array_elements_text(open.selector -> 'ids') AS mine(entry)
       LEFT JOIN announced later ON later.entry = mine.entry AND later.id > open.id
     ORDER BY open.id, mine.entry, later.id`,
    [AUDIT_INTENT, AUDIT_STARTED],
  )
  return rows
}
