import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { ConnectErrorTrackingClient, classifyFailure } from './failure.ts'
import { applySettingsUnlessPooled, type Settings } from './session-settings.ts'

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
  /** PostgreSQL ends a statement after this long, in milliseconds; not behind a pooler, where queryTimeoutMs counts. */
  statementTimeoutMs?: number
  /** The caller stops waiting after this long, in milliseconds: the server may have vanished without closing. */
  queryTimeoutMs?: number
  /** More settings of each connection; not behind a pooler. */
  settings?: Settings
  /** Called when an idle connection breaks, which the pool replaces, and whenever one cannot be opened. */
  onError(error: Error): void
}

/**
 * Limits of connections through a pooler. In session mode each keeps a connection of PostgreSQL from other processes
 * for as long. A new one costs three round trips.
 */
const POOLED = { idleTimeoutMillis: 1_000, maxLifetimeSeconds: 3 }

/**
 * For pools whose statements only look up rows of large tables. A plan that PostgreSQL made while a new partition had few
 * rows would read it from end to end, and is kept until the next ANALYZE, when the partition may have a million. Behind a
 * pooler nothing is prepared, so no plan is kept.
 */
export const PLANS_FOR_MANY_ROWS: Settings = { enable_seqscan: 'off' }

/** Opens a pool. It connects with the first query. */
export function openDatabase(options: DatabaseOptions): Database {
  const statementTimeoutMs = options.statementTimeoutMs ?? 15_000
  const connectTimeoutMs = options.connectTimeoutMs ?? 2_000
  const { onError } = options
  const pool: pg.Pool = new pg.Pool({
    Client: class extends ConnectErrorTrackingClient {
      protected override onConnectError(error: Error) {
        super.onConnectError(error)
        onError(error)
      }
    },
    connectionString: options.url,
    application_name: options.applicationName,
    max: options.maxConnections,
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    onConnect: applySettingsUnlessPooled(
      { statement_timeout: statementTimeoutMs, ...options.settings },
      { timeoutMs: connectTimeoutMs, onPooled: () => Object.assign(pool.options, POOLED) },
    ),
    query_timeout: options.queryTimeoutMs ?? statementTimeoutMs + 1_000,
    keepAlive: true,
  })
  handlePoolErrors(pool, onError)
  pool.on('release', closeUnlessIdle)
  return { pool, orm: openOrm(pool), close: () => pool.end() }
}

/**
 * Drizzle's queries, with transactions that give their connection back in any case. Drizzle's own keep it for ever when
 * they cannot begin, such as while PostgreSQL hangs. A connection to a server that takes no writes is closed too: the
 * name may lead to another server by now.
 */
function openOrm(pool: pg.Pool): NodePgDatabase {
  const orm = drizzle({ client: pool })
  const transaction: NodePgDatabase['transaction'] = async (work, config) => {
    const client = await pool.connect()
    let isBroken = false
    try {
      return await drizzle({ client }).transaction(work, config)
    } catch (error) {
      isBroken = classifyFailure(error) === 'outage'
      throw error
    } finally {
      client.release(isBroken)
    }
  }
  return Object.assign(orm, { transaction })
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

/**
 * Closes a connection that comes back to the pool within a transaction, or while its statement still runs: its caller
 * gave up after `query_timeout`. The next caller would wait for that statement.
 */
function closeUnlessIdle(_error: unknown, client: pg.PoolClient): void {
  if (client.getTransactionStatus() !== 'I') void (client as pg.PoolClient & pg.Client).end()
}
