import { sql } from 'drizzle-orm'
import { v7 as uuidv7 } from 'uuid'
import { AUDIT_DELETE, AUDIT_IMPORT, AUDIT_INTENT, AUDIT_STARTED } from './audit-actions.ts'
import type { Database } from './database.ts'
import { operatorAudit } from './schema/operator-audit.ts'

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
  /** Announced by commands that were killed before they could say what they did: entry ids. */
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
  const unfinished = await db.orm
    .select({ action: a.action, ids: sql<string[]>`${a.selector} -> 'ids'` })
    .from(a)
    .where(
      sql`${a.result} = ${AUDIT_INTENT} AND NOT EXISTS (SELECT 1 FROM operator_audit o
        WHERE o.selector ->> 'run' = ${a.selector} ->> 'run' AND o.action = ${a.action}
          AND o.result NOT IN (${AUDIT_STARTED}, ${AUDIT_INTENT}))`,
    )
  const changed = (action: string) => Number(totals.find((total) => total.action === action)?.changed ?? 0)
  return { deleted: changed(AUDIT_DELETE), imported: changed(AUDIT_IMPORT), unfinished }
}
