import { leaveErrorsToQueries } from '@tidings/db/database'
import { sqlState } from '@tidings/db/failure'
import pg from 'pg'
import { CliError, EXIT, isUnreachable, storeError, usageError } from '../exit-codes.ts'
import { type DjangoRecord, type DjangoTable, parseDjangoRow } from './records.ts'
import type { DjangoSource, OnProgress } from './source.ts'

const COLUMNS: Readonly<Record<DjangoTable, string>> = {
  users:
    'id, email, name, password, push_token, email_notifications, push_notifications, is_active, is_staff, ' +
    'is_superuser, last_login, created_at, updated_at',
  user_preferences: 'user_id, email, push',
  notification_status_logs: 'id, notification_id, user_id, notification_type, status, error, "timestamp"',
}
const PAGE_ROWS = 2_000
const CONNECT_TIMEOUT_MS = 10_000
const UNDEFINED_TABLE = '42P01'

/**
 * Opens the database of the Django service. The whole import reads one snapshot: the next run imports later changes.
 *
 * @throws CliError that names the source, so that it is not taken for a store of this installation.
 */
export async function openPostgresSource(dsn: string): Promise<DjangoSource> {
  const name = describeDsn(dsn)
  const client = new pg.Client({
    connectionString: dsn,
    application_name: 'tidings-import',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  })
  leaveErrorsToQueries(client)

  async function count(table: DjangoTable): Promise<number> {
    const { rows } = await client.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`)
    return rows[0]?.n ?? 0
  }

  async function* read(tables: readonly DjangoTable[], onProgress: OnProgress): AsyncGenerator<DjangoRecord> {
    try {
      yield* readRows(tables, onProgress)
    } catch (error) {
      throw describeSourceFailure(name, error)
    }
  }

  async function* readRows(
    tables: readonly DjangoTable[],
    onProgress: OnProgress,
  ): AsyncGenerator<DjangoRecord> {
    let done = 0
    for (const table of tables) {
      await client.query(`DECLARE page NO SCROLL CURSOR FOR SELECT ${COLUMNS[table]} FROM ${table}`)
      for (;;) {
        const { rows } = await client.query<Record<string, unknown>>(`FETCH ${PAGE_ROWS} FROM page`)
        if (rows.length === 0) break
        for (const row of rows) yield parseDjangoRow(table, row)
        done += rows.length
        onProgress(done)
      }
      await client.query('CLOSE page')
    }
  }

  try {
    await client.connect()
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    return {
      name,
      accountsTotal: (await count('users')) + (await count('user_preferences')),
      logsTotal: await count('notification_status_logs'),
      readAccounts: (onProgress) => read(['users', 'user_preferences'], onProgress),
      readLogs: (onProgress) => read(['notification_status_logs'], onProgress),
      close: () => client.end(),
    }
  } catch (error) {
    await client.end()
    throw describeSourceFailure(name, error)
  }
}

function describeSourceFailure(name: string, error: unknown): CliError {
  const said = storeError(error)
  if (isUnreachable(error))
    return new CliError(
      EXIT.unreachable,
      `The source ${name} does not answer (${said}). Is it running? Is its address right?`,
    )
  if (sqlState(error) === UNDEFINED_TABLE)
    return new CliError(
      EXIT.failure,
      `The tables of the Django user service are not there in ${name} (${said}). Name the database that Django uses.`,
    )
  return new CliError(EXIT.failure, `The source ${name} cannot be read (${said}).`)
}

/** The URL without user and password. */
function describeDsn(dsn: string): string {
  if (!URL.canParse(dsn))
    throw usageError('The source is no URL: use one like postgres://reader@old-db/users, or a file.')
  const { host, pathname } = new URL(dsn)
  return `postgres://${host}${pathname}`
}
