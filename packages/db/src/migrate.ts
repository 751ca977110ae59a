import { fileURLToPath } from 'node:url'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { leaveErrorsToQueries } from './database.ts'

export const MIGRATIONS_FOLDER = fileURLToPath(new URL('../drizzle', import.meta.url))
/** Key of the advisory lock that makes concurrent migrations take turns. Any fixed number. */
const ADVISORY_LOCK = 7_261_001

/** Migrates the database at `url` to the newest schema. Safe to repeat, and safe from several processes at once. */
export async function migrateDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: 'tidings-migrate' })
  leaveErrorsToQueries(client)
  await client.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [ADVISORY_LOCK])
    await migrate(drizzle({ client }), { migrationsFolder: MIGRATIONS_FOLDER })
  } finally {
    await client.end()
  }
}
