import { chown, mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { writeSecretFile } from '@tidings/runtime/secret-file'
import { findFreePort } from './free-port.ts'
import { endProcess, type GuardedProcess, isRunning, spawnGuarded } from './guarded-process.ts'
import { withClient } from './postgres.ts'
import { findPostgresUser } from './postgres-user.ts'
import { waitFor } from './wait-for.ts'
import { withLogFile } from './with-log-file.ts'

const STOP_LIMIT_MS = 5_000

export interface PgbouncerOptions {
  /** Holds the settings and the log. Created when absent. */
  dataDir: string
  /** The program to run. */
  program: string
  /** URL of a PostgreSQL, with user and password. Clients name the database. */
  target: string
  poolMode: 'session' | 'transaction' | 'statement'
  /** Connections to PostgreSQL for each database. */
  poolSize: number
  /** More settings, as in pgbouncer.ini. */
  settings?: Record<string, string | number>
}

/** A private PgBouncer on 127.0.0.1, as packaged but for the mode and the size of its pools. */
export interface Pgbouncer {
  readonly port: number
  readonly logFile: string
  /** The URL of a database through it. */
  url(database: string): string
  /** Runs a command on its console, such as PAUSE. */
  command(sql: string): Promise<unknown[]>
  /** Sends SIGKILL: all connections break. */
  kill9(): Promise<void>
  /** Starts it again on the same port. */
  start(): Promise<void>
  stop(): Promise<void>
}

/** Starts a PgBouncer and waits until it answers. @throws with the path of its log when it does not start. */
export async function startPgbouncer(options: PgbouncerOptions): Promise<Pgbouncer> {
  await mkdir(options.dataDir, { recursive: true })
  const dataDir = await realpath(options.dataDir)
  const port = await findFreePort()
  const logFile = join(dataDir, 'pgbouncer.log')
  const settingsFile = join(dataDir, 'pgbouncer.ini')
  // It refuses to run as root, as PostgreSQL does.
  const user = await findPostgresUser({ program: options.program, dataDir, cluster: dataDir })
  await writeSecretFile(settingsFile, renderSettings(options, port))
  if (user.owner) await chown(settingsFile, user.owner.uid, user.owner.gid)
  const url = (database: string) => `postgres://tidings@127.0.0.1:${port}/${database}`
  let child: GuardedProcess | undefined

  async function start(): Promise<void> {
    const { command, args, ...as } = user.run(options.program, ['-q', settingsFile])
    const started = await withLogFile(logFile, (fd) =>
      spawnGuarded(command, args, { env: {}, ...as, stdout: fd, stderr: fd, stopSignal: 'INT' }),
    )
    child = started
    await waitFor('PgBouncer to answer', async () => !isRunning(started) || answers(url('pgbouncer')), {
      timeoutMs: 10_000,
      intervalMs: 20,
    })
    if (!isRunning(started)) throw new Error(`PgBouncer did not start; see ${logFile}`)
  }

  await start()
  const end = async (signal: NodeJS.Signals) => {
    if (child) await endProcess(child, signal, STOP_LIMIT_MS)
  }
  return {
    port,
    logFile,
    url,
    command: (sql) => withClient(url('pgbouncer'), async (client) => (await client.query(sql)).rows),
    kill9: () => end('SIGKILL'),
    start,
    stop: () => end('SIGTERM'),
  }
}

function renderSettings({ target, poolMode, poolSize, settings }: PgbouncerOptions, port: number): string {
  const { hostname, port: targetPort, username, password } = new URL(target)
  const all = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    // Any client may connect, as the user below.
    auth_type: 'any',
    admin_users: 'tidings',
    pool_mode: poolMode,
    default_pool_size: poolSize,
    max_client_conn: 1_000,
    ...settings,
  }
  return [
    '[databases]',
    `* = host=${hostname} port=${targetPort} user=${username} password=${password}`,
    '[pgbouncer]',
    ...Object.entries(all).map(([name, value]) => `${name} = ${value}`),
    '',
  ].join('\n')
}

const answers = (consoleUrl: string) =>
  withClient(consoleUrl, (client) => client.query('SHOW VERSION')).then(
    () => true,
    () => false,
  )
