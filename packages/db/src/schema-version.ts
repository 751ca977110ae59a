import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { Database } from './database.ts'
import { MIGRATIONS_FOLDER } from './migrate.ts'

export interface SchemaVersion {
  applied: number
  /** Migrations in this version of the code. */
  known: number
}

const journalSchema = z.object({ entries: z.array(z.unknown()) })

/** Reads how many migrations the database has, and how many this code knows. */
export async function readSchemaVersion(db: Database): Promise<SchemaVersion> {
  const journal = journalSchema.parse(
    JSON.parse(await readFile(`${MIGRATIONS_FOLDER}/meta/_journal.json`, 'utf8')),
  )
  const { rows: tables } = await db.pool.query<{ found: boolean }>(
    "SELECT to_regclass('drizzle.__drizzle_migrations') IS NOT NULL AS found",
  )
  if (!tables[0]?.found) return { applied: 0, known: journal.entries.length }
  const { rows } = await db.pool.query<{ count: string }>('SELECT count(*) FROM drizzle.__drizzle_migrations')
  return { applied: Number(rows[0]?.count ?? 0), known: journal.entries.length }
}
