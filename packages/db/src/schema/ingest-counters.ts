import { bigint, pgTable, uuid, varchar } from 'drizzle-orm/pg-core'
import { instant } from './columns.ts'

/**
 * What each process did, for the balance accepted = stored + duplicate + dead + in flight. `stored` is
 * counted in the transaction that stores, so it is exact; `accepted` is written every second, so a killed
 * API leaves it too low, never too high.
 */
export const ingestAccounts = pgTable('ingest_accounts', {
  /** A random id per process start. */
  processId: uuid('process_id').primaryKey(),
  role: varchar('role', { length: 16 }).notNull(),
  accepted: bigint('accepted', { mode: 'number' }).notNull().default(0),
  stored: bigint('stored', { mode: 'number' }).notNull().default(0),
  duplicate: bigint('duplicate', { mode: 'number' }).notNull().default(0),
  /** Found already stored in a job that was delivered again: the same acceptance, not another one. */
  redelivered: bigint('redelivered', { mode: 'number' }).notNull().default(0),
  /** Accepted once, but perhaps on two ways: the queue gave no answer in time, so they were stored directly too. */
  inDoubt: bigint('in_doubt', { mode: 'number' }).notNull().default(0),
  updatedAt: instant('updated_at').notNull().defaultNow(),
})
