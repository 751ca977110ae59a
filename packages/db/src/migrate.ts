import { fileURLToPath } from 'node:url'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { leaveErrorsToQueries } from './database.ts'

export const MIGRATIONS_FOLDER = fileURLToPath(new URL('../drizzle', import.meta.url))
/** Key of the advisory lock that makes concurrent migrations take turns. Any fixed number. */
const ADVISORY_LOCK = 7_261_001
const CONNECT_TIMEOUT_MS = 10_000

/**
 * Migrates the database at `url` to the newest schema. Safe to repeat, and safe from several processes at once.
 *
 * The lock belongs to a transaction on a connection of its own. A lock of the session would stay with a pooler in
 * transaction mode, and the next migration would wait for it in vain.
 */
export async function migrateDatabase(url: string): Promise<void> {
  await withMigrationClient(url, async (holder) => {
    await holder.query('BEGIN')
    await holder.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCK])
    await withMigrationClient(url, (client) =>
      migrate(drizzle({ client }), { migrationsFolder: MIGRATIONS_FOLDER }),
    )
    await holder.query('COMMIT')
  })
}

async function withMigrationClient(url: string, use: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'tidings-migrate',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  })
  leaveErrorsToQueries(client)
  await client.connect()
  try {
    await use(client)
  } finally {
    await client.end()
  }
}
