import { and, inArray, ne, type SQL, sql } from 'drizzle-orm'
import { v7 as uuidv7 } from 'uuid'
import type { Database, Handle } from '../database.ts'
import { operatorAudit } from '../schema/operator-audit.ts'
import { AUDIT_DELETE, AUDIT_IMPORT, AUDIT_STARTED } from './audit-actions.ts'

export interface AuditRecord {
  actor: string
  /** The command's name, such as `dlq.redrive`. */
  action: string
  /** What the operator selected, as JSON: ids or filters. */
  selector: unknown
  matched: number
  changed: number
  result: string
}

/** Adds a row. Pass the transaction of the change to write both or neither. */
export async function insertAudit(db: Handle, record: AuditRecord): Promise<void> {
  await db.orm.insert(operatorAudit).values({ id: uuidv7(), ...record })
}

/** How many dead letters operators deleted for good, and how many they imported. */
interface DeadLetterChanges {
  deleted: number
  imported: number
}

/** Adds up the rows that finished commands wrote. A command that was killed is missing from the sums. */
export async function readDeadLetterChanges(db: Database): Promise<DeadLetterChanges> {
  const a = operatorAudit
  const totals = await db.orm
    .select({ action: a.action, changed: sql<string>`sum(${a.changed})` })
    .from(a)
    .where(and(inArray(a.action, [AUDIT_DELETE, AUDIT_IMPORT]), ne(a.result, AUDIT_STARTED)))
    .groupBy(a.action)
  const changedBy = (action: string) => Number(totals.find((total) => total.action === action)?.changed ?? 0)
  return { deleted: changedBy(AUDIT_DELETE), imported: changedBy(AUDIT_IMPORT) }
}

/** Removes the notes that mention an erased address. `mentions` is an SQL condition on `selector -> 'note'`. */
export async function redactAuditNotes(db: Handle, mentions: SQL): Promise<void> {
  const { selector } = operatorAudit
  await db.orm
    .update(operatorAudit)
    .set({ selector: sql`${selector} - 'note'` })
    .where(and(sql`${selector} ? 'note'`, mentions))
}
