import { type Database, openDatabase } from '@tidings/db/database'
import { migrateDatabase } from '@tidings/db/migrate'
import { displayPrefix, generateServiceKey, hashSecret, type Scope } from '@tidings/shared/service-key'
import { createDatabase, type PostgresServer } from '../servers/postgres.ts'

/** A database on which real API and worker processes can run; the fault matrix and the benchmark use it. */
export interface SystemDatabase {
  url: string
  db: Database
  /** May do everything that a producer and a gateway do. */
  serviceKey: string
}

const SCOPES: readonly Scope[] = ['status:write:email', 'status:write:push', 'status:read', 'users:read']

/**
 * Creates a database with the product's schema and a service key.
 *
 * @param migrate brings the database at a URL to the schema; another version's migrations, if given.
 * @param source name of the service key, and so the `source` of events posted with it.
 * @param statementTimeoutMs for `db`, in milliseconds.
 */
export async function createSystemDatabase(
  postgres: Pick<PostgresServer, 'adminUrl' | 'url'>,
  name: string,
  { migrate = migrateDatabase, source = 'harness', statementTimeoutMs = 15_000 } = {},
): Promise<SystemDatabase> {
  await createDatabase(postgres.adminUrl, name)
  const url = postgres.url(name)
  await migrate(url)
  const db = openDatabase({
    url,
    applicationName: 'tidings-harness',
    // Beside a system under load, a connection may take long.
    connectTimeoutMs: 30_000,
    maxConnections: 3,
    statementTimeoutMs,
    onError: () => {},
  })
  return { url, db, serviceKey: await addServiceKey(db, source) }
}

/** Inserts a service key by the columns that every version has: the schema may be another version's. */
async function addServiceKey(db: Database, name: string): Promise<string> {
  const key = generateServiceKey()
  await db.pool.query(
    `INSERT INTO service_keys (id, name, key_hash, prefix, scopes)
     VALUES (gen_random_uuid(), $1, $2, $3, $4)`,
    [name, hashSecret(key), displayPrefix(key), SCOPES],
  )
  return key
}

/** Inserts users with these ids. They cannot log in. */
export async function addUsers(db: Database, ids: readonly string[]): Promise<void> {
  await db.pool.query(
    `INSERT INTO users (id, email, name, password)
     SELECT id, id::text || '@example.com', 'Harness User', '!' FROM unnest($1::uuid[]) AS id`,
    [ids],
  )
}
