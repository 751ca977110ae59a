import { bigint, pgTable, varchar } from 'drizzle-orm/pg-core'
import { instant } from './columns.ts'

/**
 * What all processes together did with events, for the report of `tidings doctor`. Each process adds its counts
 * every second, so a killed process leaves a counter up to a second too low.
 */
export const ingestCounters = pgTable('ingest_counters', {
  /** `accepted` or `duplicate`. */
  name: varchar('name', { length: 16 }).primaryKey(),
  value: bigint('value', { mode: 'number' }).notNull().default(0),
  updatedAt: instant('updated_at').notNull().defaultNow(),
})
