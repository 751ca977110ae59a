import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { ConnectErrorTrackingClient } from './failure.ts'

/**
 * The handle that every query function takes first: `orm` for typed queries, `pool` for statements that must be
 * prepared, locked or sent as they are.
 */
export interface Database {
  pool: pg.Pool
  orm: NodePgDatabase
  close(): Promise<void>
}

/** A Database, or one of its transactions as `{ orm: tx }`: for queries that also run as part of a larger change. */
export interface Handle {
  orm: Pick<NodePgDatabase, 'select' | 'insert' | 'update' | 'delete' | 'execute'>
}

export interface DatabaseOptions {
  url: string
  /** Shown in pg_stat_activity. */
  applicationName: string
  maxConnections: number
  /** How long to wait for a free or new connection, in milliseconds. */
  connectTimeoutMs?: number
  /** PostgreSQL ends a statement after this long, in milliseconds. */
  statementTimeoutMs?: number
  /** The caller stops waiting after this long, in milliseconds: the server may have vanished without closing. */
  queryTimeoutMs?: number
  /** Called when an idle connection breaks, which the pool replaces, and whenever one cannot be opened. */
  onError(error: Error): void
}

/** Opens a pool. It connects with the first query. */
export function openDatabase(options: DatabaseOptions): Database {
  const statementTimeoutMs = options.statementTimeoutMs ?? 15_000
  const { onError } = options
  const pool = new pg.Pool({
    Client: class extends ConnectErrorTrackingClient {
      protected override onConnectError(error: Error) {
        super.onConnectError(error)
        onError(error)
      }
    },
    connectionString: options.url,
    application_name: options.applicationName,
    max: options.maxConnections,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 2_000,
    idleTimeoutMillis: 30_000,
    onConnect: applySettings({ statement_timeout: statementTimeoutMs }),
    query_timeout: options.queryTimeoutMs ?? statementTimeoutMs + 1_000,
    keepAlive: true,
  })
  handlePoolErrors(pool, onError)
  return { pool, orm: drizzle({ client: pool }), close: () => pool.end() }
}

/**
 * Makes a pool's `onConnect` that applies settings, named as in postgresql.conf, to each new connection. A setting must
 * never be a startup parameter (`statement_timeout` or `options` of a pool): PgBouncer refuses the connection.
 */
export function applySettings(
  settings: Readonly<Record<string, string | number>>,
): (client: pg.ClientBase) => Promise<void> {
  const names = Object.keys(settings)
  const values = Object.values(settings).map(String)
  return async (client) => {
    await client.query(
      'SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS given(name, value)',
      [names, values],
    )
  }
}

/** Reports broken idle connections to `onError`. Without a handler they would end the process. */
export function handlePoolErrors(pool: pg.Pool, onError: (error: Error) => void): void {
  pool.on('error', onError)
  pool.on('connect', leaveErrorsToQueries)
}

/**
 * Ignores errors of a connection while it is in use. It may break while no query runs, such as between the statements
 * of a transaction. Without a handler that would end the process. The next query on the connection reports the error.
 */
export function leaveErrorsToQueries(client: pg.ClientBase): void {
  client.on('error', () => {})
}
