import { v7 as uuidv7 } from 'uuid'
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

export async function insertAudit(db: Database, record: AuditRecord): Promise<void> {
  await db.orm.insert(operatorAudit).values({ id: uuidv7(), ...record })
}
