import { fileURLToPath } from 'node:url'
import { StartupError } from '@tidings/runtime/env'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { leaveErrorsToQueries } from './database.ts'
import { applySettingsUnlessPooled } from './session-settings.ts'

export const MIGRATIONS_FOLDER = fileURLToPath(new URL('../drizzle', import.meta.url))
/** Key of the advisory lock that makes concurrent migrations take turns. Any fixed number. */
export const ADVISORY_LOCK = 7_261_001
const CONNECT_TIMEOUT_MS = 10_000
/** Limits that the user may have are for requests. The holder of the lock is idle in its transaction. */
const withoutLimits = applySettingsUnlessPooled(
  { statement_timeout: 0, idle_in_transaction_session_timeout: 0 },
  { timeoutMs: CONNECT_TIMEOUT_MS, onPooled: () => undefined },
)

/**
 * Migrates the database at `url` to the newest schema. Safe to repeat, and safe from several processes at once.
 *
 * The lock belongs to a transaction on a connection of its own. A lock of the session would stay with a pooler in
 * transaction mode, and the next migration would wait for it in vain.
 */
export async function migrateDatabase(url: string): Promise<void> {
  await withMigrationClient(url, async (holder) => {
    await assertPublicSchema(holder)
    await holder.query('BEGIN')
    await holder.query('SELECT pg_advisory_xact_lock($1)', [ADVISORY_LOCK])
    await withMigrationClient(url, (client) =>
      migrate(drizzle({ client }), { migrationsFolder: MIGRATIONS_FOLDER }),
    )
    await holder.query('COMMIT')
  })
}

/** The migrations create tables where the search path begins, and refer to them in `public`. */
async function assertPublicSchema(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ schema: string | null }>('SELECT current_schema() AS schema')
  const schema = rows[0]?.schema
  if (schema === 'public') return
  throw new StartupError(
    `Tidings keeps its tables in the schema public, and new tables of this user go to ${schema ?? 'no schema'}. Let the user's search_path begin with public, and grant CREATE on it.`,
  )
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
    await withoutLimits(client)
    await use(client)
  } finally {
    await client.end()
  }
}
