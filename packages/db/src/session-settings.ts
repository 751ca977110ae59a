import type pg from 'pg'

/** Settings of a connection, named as in postgresql.conf. */
export type Settings = Readonly<Record<string, string | number>>

const SET = 'SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS given(name, value)'

/** The setting is applied, unless a pooler is on the way. Parameter 3 is the id of the backend as the client knows it. */
const SET_UNLESS_POOLED = `${SET} WHERE pg_backend_pid() = $3::int`

/** Something needs a connection of its own, and a pooler is on its way. The message says what to do. */
export class PooledConnectionError extends Error {
  constructor() {
    super(
      'A pooler is on the way to PostgreSQL. Set DATABASE_DIRECT_URL to PostgreSQL itself: this needs a connection of its own',
    )
    this.name = 'PooledConnectionError'
  }
}

/**
 * Makes a pool's `onConnect` that applies settings to each new connection, for what does not work without them. A
 * setting must never be a startup parameter (`statement_timeout` or `options` of a pool): PgBouncer refuses the
 * connection. Through a pooler it throws PooledConnectionError, because the next client would inherit the settings.
 */
export function applySettings(settings: Settings): (client: pg.ClientBase) => Promise<void> {
  const values = toValues(settings)
  return async (client) => {
    const { rowCount } = await client.query(SET_UNLESS_POOLED, [...values, backendIdOf(client)])
    if (rowCount === 0) throw new PooledConnectionError()
  }
}

/** @throws PooledConnectionError when a pooler is on the way. */
export async function assertDirect(client: pg.ClientBase): Promise<void> {
  if (await isPooled(client)) throw new PooledConnectionError()
}

/**
 * Makes a pool's `onConnect` for connections that may lead through a pooler in any mode. It applies settings to a
 * connection of our own. On a connection through a pooler it leaves the session alone, because the next client may get
 * it, and sends every named statement without its name: the server connection may not know the name, or may know it
 * already.
 *
 * `onPooled` is called for each connection through a pooler.
 *
 * A pooler is recognized in the same round trip. PostgreSQL tells each client the process id of its backend; a pooler
 * makes up a number instead, because its clients share backends.
 */
export function applySettingsUnlessPooled(
  settings: Settings,
  { timeoutMs, onPooled }: { timeoutMs: number; onPooled(): void },
): (client: pg.ClientBase) => Promise<void> {
  const values = toValues(settings)
  return async (client) => {
    // A pooler lets clients in at once, and lets their first statement wait for a connection.
    const query = {
      text: SET_UNLESS_POOLED,
      values: [...values, backendIdOf(client)],
      query_timeout: timeoutMs,
    }
    const { rowCount } = await client.query(query)
    if (rowCount !== 0) return
    sendWithoutNames(client)
    onPooled()
  }
}

/** Says whether a connection leads through a pooler. */
export async function isPooled(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  return rows[0]?.pid !== backendIdOf(client)
}

const toValues = (settings: Settings) => [Object.keys(settings), Object.values(settings).map(String)]

function backendIdOf(client: pg.ClientBase): number | undefined {
  // Every client has it; its types leave it out.
  return 'processID' in client && typeof client.processID === 'number' ? client.processID : undefined
}

function sendWithoutNames(client: pg.ClientBase): void {
  const send = client.query.bind(client) as (...args: unknown[]) => unknown
  const sendUnnamed = (config: unknown, ...rest: unknown[]) =>
    send(isNamed(config) ? { ...config, name: undefined } : config, ...rest)
  client.query = sendUnnamed as typeof client.query
}

const isNamed = (config: unknown): config is { name: string } =>
  typeof config === 'object' && config !== null && 'name' in config && !('submit' in config)
