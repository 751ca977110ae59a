import { integer, jsonb, pgTable, text, uuid, varchar } from 'drizzle-orm/pg-core'
import { instant } from './columns.ts'

/** Changes that operators made. Rows are only added. */
export const operatorAudit = pgTable('operator_audit', {
  id: uuid('id').primaryKey(),
  at: instant('at').notNull().defaultNow(),
  actor: varchar('actor', { length: 255 }).notNull(),
  action: varchar('action', { length: 64 }).notNull(),
  /** The selection as the operator gave it: ids or filters. */
  selector: jsonb('selector').notNull(),
  matched: integer('matched').notNull(),
  changed: integer('changed').notNull(),
  result: text('result').notNull(),
})
