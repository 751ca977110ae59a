import { DrizzleQueryError } from 'drizzle-orm/errors'
import pg from 'pg'

/**
 * What a failure of PostgreSQL means for the work that met it:
 * - `outage`: the store cannot be reached or written at all; wait, and count no attempt;
 * - `transient`: this try failed, the next may not; counts as an attempt;
 * - `permanent`: these data can never be stored.
 */
export type FailureClass = 'outage' | 'transient' | 'permanent'

export const UNIQUE_VIOLATION = '23505'

const OUTAGE_STATES = new Set([
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '57P04', // database_dropped
  '57P05', // idle_session_timeout
  '25006', // read_only_sql_transaction
])
/**
 * 08: connection exceptions; 28: the user or the password is refused; 3D: no such database; 53: disk full, out of
 * memory, too many connections; 58: errors of the system.
 */
const OUTAGE_CLASSES = new Set(['08', '28', '3D', '53', '58'])
/** 22: data exceptions; 23: integrity constraint violations. */
const PERMANENT_CLASSES = new Set(['22', '23'])

const OUTAGE_ERRNOS = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
  'EAI_AGAIN',
])

/** What kept a connection from being made: an expired certificate and a revoked right look like any other error. */
const connectErrors = new WeakSet<Error>()

/** The client of every pool: it notes which errors came of connecting. */
export class ConnectErrorTrackingClient extends pg.Client {
  override connect(): Promise<pg.Client>
  override connect(callback: (error: Error) => void): void
  override connect(callback?: (error: Error) => void): Promise<pg.Client> | undefined {
    if (!callback) {
      return super.connect().catch((error: Error) => {
        connectErrors.add(error)
        throw error
      })
    }
    super.connect((error: Error) => {
      // Called with null when it has connected.
      if (error) connectErrors.add(error)
      callback(error)
    })
    return undefined
  }
}

/**
 * Classifies by SQLSTATE, error number or where it came from, never by the SQL error's text. Anything unknown is
 * transient.
 */
export function classifyFailure(error: unknown): FailureClass {
  const found = unwrapQueryError(error)
  if (found instanceof Error && connectErrors.has(found)) return 'outage'
  const code = sqlState(error)
  if (found instanceof pg.DatabaseError && code !== undefined) {
    if (OUTAGE_STATES.has(code) || OUTAGE_CLASSES.has(code.slice(0, 2))) return 'outage'
    if (PERMANENT_CLASSES.has(code.slice(0, 2))) return 'permanent'
    return 'transient'
  }
  if (code !== undefined && OUTAGE_ERRNOS.has(code)) return 'outage'
  if (error instanceof AggregateError)
    return error.errors.some((e) => classifyFailure(e) === 'outage') ? 'outage' : 'transient'
  return isDriverConnectionError(found) ? 'outage' : 'transient'
}

/** SQLSTATE or errno of an error, looking through drizzle's wrapper. */
export function sqlState(error: unknown): string | undefined {
  const found = unwrapQueryError(error)
  return typeof found === 'object' && found !== null && 'code' in found && typeof found.code === 'string'
    ? found.code
    : undefined
}

/** True for the query builder's wrapper, whose message holds every parameter. */
export const isQueryError = (error: unknown): boolean => error instanceof DrizzleQueryError

/** What PostgreSQL or the driver raised: the query builder's own message is the query with every parameter. */
export function unwrapQueryError(error: unknown): unknown {
  return error instanceof DrizzleQueryError && error.cause ? error.cause : error
}

/** node-postgres raises these itself, as plain Errors without a code; there is nothing else to go by. */
const DRIVER_CONNECTION_ERRORS = new Set([
  'Connection terminated',
  'Connection terminated unexpectedly',
  'Connection terminated due to connection timeout',
  'timeout exceeded when trying to connect',
  'timeout expired',
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
  'Query read timeout',
])

function isDriverConnectionError(error: unknown): boolean {
  return error instanceof Error && DRIVER_CONNECTION_ERRORS.has(error.message)
}
