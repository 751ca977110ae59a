import { DrizzleQueryError } from 'drizzle-orm/errors'
import pg from 'pg'

/**
 * The class of a PostgreSQL failure:
 * - `outage`: PostgreSQL is unreachable or takes no writes. Wait; no attempt counts.
 * - `transient`: this attempt failed, the next one may succeed. It counts.
 * - `permanent`: this data can never be stored.
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
 * SQLSTATE classes. 08: connection exceptions; 28: user or password refused; 3D: no such database; 53: disk full, out
 * of memory, too many connections; 58: system errors.
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

/** Errors that kept a connection from opening. An expired certificate or a revoked right has no code that tells. */
const connectErrors = new WeakSet<Error>()

/** The client of every pool. It records which errors occurred while connecting. */
export class ConnectErrorTrackingClient extends pg.Client {
  override connect(): Promise<pg.Client>
  override connect(callback: (error: Error) => void): void
  override connect(callback?: (error: Error) => void): Promise<pg.Client> | undefined {
    if (!callback) {
      return super.connect().catch((error: Error) => {
        this.onConnectError(error)
        throw error
      })
    }
    super.connect((error: Error) => {
      // pg calls back with null after it has connected.
      if (error) this.onConnectError(error)
      callback(error)
    })
    return undefined
  }

  protected onConnectError(error: Error): void {
    connectErrors.add(error)
  }
}

/** Classifies a failure by SQLSTATE, errno or origin, never by the text of an SQL error. Unknown errors are transient. */
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

/** The SQLSTATE or errno of an error, also inside drizzle's wrapper. */
export function sqlState(error: unknown): string | undefined {
  const found = unwrapQueryError(error)
  return typeof found === 'object' && found !== null && 'code' in found && typeof found.code === 'string'
    ? found.code
    : undefined
}

/** True for drizzle's wrapper, whose message holds every parameter of the query. */
export const isQueryError = (error: unknown): boolean => error instanceof DrizzleQueryError

/** The error of PostgreSQL or the driver. Drizzle's own message holds the query and every parameter. */
export function unwrapQueryError(error: unknown): unknown {
  return error instanceof DrizzleQueryError && error.cause ? error.cause : error
}

/** Messages of errors that node-postgres raises itself. They are plain Errors without a code. */
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
