import { mkdir, readFile, realpath, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { findRememberedPort } from './free-port.ts'
import { endProcess, type GuardedProcess, isRunning, spawnGuarded } from './guarded-process.ts'
import { findPostgresBinaries } from './postgres-binaries.ts'
import { type ClusterPaths, clusterPaths, createCluster, stopStaleServer } from './postgres-cluster.ts'
import { findPostgresUser } from './postgres-user.ts'
import { waitFor } from './wait-for.ts'
import { withLogFile } from './with-log-file.ts'

/** `smart` waits for clients, `fast` disconnects them, `immediate` skips the checkpoint as a crash does. */
export type StopMode = 'smart' | 'fast' | 'immediate'
const STOP_SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const
/** A checkpoint of much data takes long. */
const STOP_LIMIT_MS = 30_000
const START_LIMIT_MS = 60_000
/** Where systems have `setpriv`, which root needs to run PostgreSQL as another user. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export interface PostgresOptions {
  /** Holds the cluster, its password and its log. Created when absent. */
  dataDir: string
  /** What the server inherits. Default: a PATH of the usual system folders. */
  env?: NodeJS.ProcessEnv
  /** False trades safety against a power cut for speed: for tests only. Default true. */
  durable?: boolean
  /** Server settings over the defaults, as in postgresql.conf. */
  settings?: Record<string, string | number>
}

/** A private PostgreSQL 18 on 127.0.0.1. */
export interface PostgresServer {
  readonly port: number
  /** The process id of the postmaster. */
  readonly pid: number
  readonly logFile: string
  url(database: string): string
  /** Connects to the maintenance database, as superuser. */
  readonly adminUrl: string
  stop(mode?: StopMode): Promise<void>
  /** Sends SIGKILL to the postmaster; its children end by themselves. */
  kill9(): Promise<void>
  /** Starts it again on the same data and port, after stop or kill9. */
  start(): Promise<void>
  /** Suspends the postmaster: established connections work on, new ones hang. */
  freeze(): void
  thaw(): void
  /** Calls back when the server ends without having been told to. */
  onUnexpectedExit(listener: () => void): void
}

const DEFAULT_SETTINGS = {
  listen_addresses: '127.0.0.1',
  // The path of a socket file may have about 100 bytes; the path of a checkout may be longer.
  unix_socket_directories: '',
  max_connections: 200,
  shared_buffers: '256MB',
  timezone: 'UTC',
  lc_messages: 'C',
}
const FAST_SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_wal_size: '4GB',
}

/**
 * Starts a private PostgreSQL and waits until it accepts connections. Creates its data directory the first time, and
 * stops a server that a killed parent left on it. Takes the port of the previous start if that is free.
 *
 * @throws with the log's path when the server does not start.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const durable = options.durable ?? true
  await mkdir(options.dataDir, { recursive: true })
  // An earlier server is recognized by this path, whichever link leads here.
  const dataDir = await realpath(options.dataDir)
  const paths = clusterPaths(dataDir)
  const binaries = findPostgresBinaries()
  const env = { PATH: SYSTEM_PATH, ...options.env, LC_ALL: 'C', PGTZ: undefined, PGDATA: undefined }
  const user = await findPostgresUser({ program: binaries.initdb, dataDir, cluster: paths.cluster })
  await stopStaleServer(paths)
  const port = await findRememberedPort(paths.port)
  await withLogFile(paths.log, (logFd) =>
    createCluster(paths, binaries.initdb, user, { durable, env, logFd }),
  )
  await writeFile(paths.port, String(port))
  const password = await readFile(paths.password, 'utf8')
  const url = (database: string) => `postgres://tidings:${password}@127.0.0.1:${port}/${database}`
  const settings = { ...DEFAULT_SETTINGS, ...(durable ? {} : FAST_SETTINGS), ...options.settings }
  const serverArgs = ['-D', paths.cluster, '-p', String(port)]
  for (const [name, value] of Object.entries(settings)) serverArgs.push('-c', `${name}=${value}`)

  let child: GuardedProcess | undefined
  let isExitExpected = false
  const listeners: (() => void)[] = []

  async function start() {
    if (child && isRunning(child)) return
    const { command, args, ...as } = user.run(binaries.postgres, serverArgs)
    const deadline = performance.now() + START_LIMIT_MS
    // Backends of a killed postmaster hold its shared memory for a moment. A new one refuses to start until then.
    do {
      isExitExpected = false
      const started = await withLogFile(paths.log, (fd) =>
        spawnGuarded(command, args, { env, ...as, stdout: fd, stderr: fd, stopSignal: 'INT' }),
      )
      if (await becomesReady(started, paths)) {
        child = started
        started.once('exit', () => {
          if (!isExitExpected) for (const listener of listeners) listener()
        })
        return
      }
    } while (performance.now() < deadline && (await tailOf(paths.log)).includes('pre-existing shared memory'))
    throw new Error(`PostgreSQL did not start; the end of ${paths.log}:\n${await tailOf(paths.log)}`)
  }

  const running = () => {
    if (!child) throw new Error('PostgreSQL has not been started')
    return child
  }
  const end = async (signal: NodeJS.Signals) => {
    isExitExpected = true
    await endProcess(running(), signal, STOP_LIMIT_MS)
  }

  await start()
  return {
    port,
    get pid() {
      return running().pid
    },
    logFile: paths.log,
    url,
    adminUrl: url('postgres'),
    stop: (mode = 'fast') => end(STOP_SIGNALS[mode]),
    kill9: () => end('SIGKILL'),
    start,
    freeze: () => void running().kill('SIGSTOP'),
    thaw: () => void running().kill('SIGCONT'),
    onUnexpectedExit: (listener) => void listeners.push(listener),
  }
}

/** Returns false when the process ends instead. Reads the last line of the pid file, as pg_ctl does. */
async function becomesReady(child: GuardedProcess, paths: ClusterPaths): Promise<boolean> {
  const pidFile = join(paths.cluster, 'postmaster.pid')
  try {
    await waitFor(
      'PostgreSQL to accept connections',
      async () => {
        if (!isRunning(child)) return true
        const lines = (await readFile(pidFile, 'utf8')).split('\n')
        return lines[0] === String(child.pid) && lines[7]?.trim() === 'ready'
      },
      { timeoutMs: START_LIMIT_MS, intervalMs: 20 },
    )
  } catch (error) {
    await endProcess(child, 'SIGQUIT', 5_000)
    throw error
  }
  return isRunning(child)
}

const LOG_TAIL_LINES = 12
const tailOf = async (file: string) =>
  (await readFile(file, 'utf8')).trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')

/** Creates the database unless it exists, optionally as a copy of a template. */
export async function createDatabase(adminUrl: string, name: string, template?: string): Promise<void> {
  await withClient(adminUrl, async (client) => {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])
    if (found.rows.length > 0) return
    const from = template === undefined ? '' : ` TEMPLATE ${client.escapeIdentifier(template)}`
    await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}${from}`)
  })
}

/** Runs `use` with one connection, and closes the connection. */
export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'tidings-stack' })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
