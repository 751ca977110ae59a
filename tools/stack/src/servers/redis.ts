import { mkdir, realpath, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { readFileIfExists } from '@tidings/runtime/read-file-if-exists'
import { Redis } from 'ioredis'
import { isExecutable } from './find-program.ts'
import { findRememberedPort } from './free-port.ts'
import { endProcess, type GuardedProcess, isRunning, spawnGuarded } from './guarded-process.ts'
import { waitFor } from './wait-for.ts'
import { withLogFile } from './with-log-file.ts'

/** Both speak the protocol and have the append-only file that the queue needs. */
const SERVER_NAMES = ['redis-server', 'valkey-server']
export const NO_REDIS_SERVER = `There is no ${SERVER_NAMES.join(' or ')} on the PATH.`
const STOP_LIMIT_MS = 15_000
/** Redis reads a large append-only file before it answers. */
const START_LIMIT_MS = 60_000

/** Returns the path of a redis-server or valkey-server, or undefined when the PATH has none. */
export function findRedisServer(path: string | undefined): string | undefined {
  const folders = (path ?? '').split(delimiter).filter((folder) => folder !== '')
  return SERVER_NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
}

/** @throws when the PATH has no redis-server or valkey-server. */
export function requireRedisServer(path: string | undefined): string {
  const server = findRedisServer(path)
  if (server === undefined) throw new Error(NO_REDIS_SERVER)
  return server
}

export interface RedisOptions {
  /** Holds the append-only file and the log. Created when absent. */
  dataDir: string
  /** The program to run, as `findRedisServer` returns it. */
  server: string
  /** Server settings over the durable defaults, as in redis.conf. */
  settings?: Record<string, string | number>
}

/** A private Redis on 127.0.0.1. */
export interface RedisServer {
  readonly port: number
  readonly pid: number
  readonly url: string
  readonly logFile: string
  stop(): Promise<void>
  kill9(): Promise<void>
  /** Starts it again on the same data and port, after stop or kill9. */
  start(): Promise<void>
  /** Stop and start. */
  restart(): Promise<void>
  /** Suspends it (SIGSTOP): connections stay open and get no answers. */
  freeze(): void
  thaw(): void
  /** Calls back when the server ends without having been told to. */
  onUnexpectedExit(listener: () => void): void
}

/** Paths of PEM files. A server asks each client for a certificate of the CA, too. */
export interface RedisTls {
  ca: string
  cert: string
  key: string
}

/** Settings of a server, or a Sentinel, that also listens with TLS and speaks it to others of its kind. */
export const tlsSettings = ({ ca, cert, key }: RedisTls, port: number) => ({
  'tls-port': port,
  'tls-ca-cert-file': ca,
  'tls-cert-file': cert,
  'tls-key-file': key,
  'tls-replication': 'yes',
})

/** With these an acknowledged job survives kill -9 of Redis. */
const DURABLE_SETTINGS = {
  appendonly: 'yes',
  appendfsync: 'always',
  'maxmemory-policy': 'noeviction',
  save: '',
  // Drops a partly written last command instead of refusing to start.
  'aof-load-truncated': 'yes',
}

/**
 * Starts a private Redis, durable unless `settings` say otherwise, and waits until it answers. Stops a Redis that a killed
 * parent left on the same directory. Takes the port of the previous start if that is free.
 *
 * @throws with the log's path when Redis does not start.
 */
export async function startRedis(options: RedisOptions): Promise<RedisServer> {
  await mkdir(options.dataDir, { recursive: true })
  // A running server reports its directory by this path, whichever link leads here.
  const dataDir = await realpath(options.dataDir)
  await stopStaleServer(dataDir)
  const portFile = join(dataDir, PORT_FILE)
  const port = await findRememberedPort(portFile)
  const logFile = join(dataDir, 'redis.log')
  const url = urlOf(port)
  const settings = { ...DURABLE_SETTINGS, ...options.settings }
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dataDir, '--daemonize', 'no']
  for (const [name, value] of Object.entries(settings)) args.push(`--${name}`, String(value))

  let child: GuardedProcess | undefined
  let isExitExpected = false
  const listeners: (() => void)[] = []

  async function start() {
    if (child && isRunning(child)) return
    isExitExpected = false
    const started = await withLogFile(logFile, (fd) =>
      spawnGuarded(options.server, args, { env: {}, stdout: fd, stderr: fd, stopSignal: 'TERM' }),
    )
    child = started
    await writeFile(portFile, String(port))
    await waitFor('Redis to answer', () => !isRunning(started) || answers(url), {
      timeoutMs: START_LIMIT_MS,
      intervalMs: 20,
    })
    if (!isRunning(started)) throw new Error(`Redis did not start; see ${logFile}`)
    started.once('exit', () => {
      if (!isExitExpected) for (const listener of listeners) listener()
    })
  }

  const running = () => {
    if (!child) throw new Error('Redis has not been started')
    return child
  }
  const end = async (signal: NodeJS.Signals) => {
    isExitExpected = true
    await endProcess(running(), signal, STOP_LIMIT_MS)
  }

  try {
    await start()
  } catch (error) {
    if (child) await endProcess(child, 'SIGKILL', STOP_LIMIT_MS)
    throw error
  }

  return {
    port,
    url,
    logFile,
    get pid() {
      return running().pid
    },
    stop: () => end('SIGTERM'),
    kill9: () => end('SIGKILL'),
    start,
    async restart() {
      await end('SIGTERM')
      await start()
    },
    freeze: () => void running().kill('SIGSTOP'),
    thaw: () => void running().kill('SIGCONT'),
    onUnexpectedExit: (listener) => void listeners.push(listener),
  }
}

const urlOf = (port: number) => `redis://127.0.0.1:${port}`

/** Holds the port of the last start. */
const PORT_FILE = 'port'

/** Stops a Redis that still runs on this directory: two servers would ruin its append-only file. */
async function stopStaleServer(dataDir: string): Promise<void> {
  const port = Number(readFileIfExists(join(dataDir, PORT_FILE)))
  if (!port) return
  const url = urlOf(port)
  const isOurs = await withRedis(url, async (redis) => {
    const answer = await redis.call('CONFIG', 'GET', 'dir')
    return Array.isArray(answer) && answer[1] === dataDir
  }).catch(() => false)
  if (!isOurs) return
  // Redis does not answer SHUTDOWN: it closes the connection.
  await withRedis(url, (redis) => redis.call('SHUTDOWN')).catch(() => {})
  await waitFor('the Redis of an earlier start to stop', async () => !(await answers(url)), {
    timeoutMs: STOP_LIMIT_MS,
  })
}

const answers = (url: string) =>
  withRedis(url, async (redis) => (await redis.ping()) === 'PONG').catch(() => false)

/**
 * Asks the Redis at `url` for an answer, which takes twice `limitMs` at most.
 *
 * @throws the error of the connection or of the command.
 */
export async function pingRedis(url: string, limitMs: number): Promise<void> {
  await withRedis(url, (redis) => redis.ping(), limitMs)
}

async function withRedis<T>(url: string, use: (redis: Redis) => Promise<T>, limitMs = 1_000): Promise<T> {
  const redis = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    // A test's Redis may forbid INFO.
    enableReadyCheck: false,
    connectTimeout: limitMs,
    commandTimeout: limitMs,
  })
  let problem: Error | undefined
  redis.on('error', (error: Error) => {
    problem ??= error
  })
  try {
    await redis.connect()
    return await use(redis)
  } catch (error) {
    // The rejection may only say that the connection is closed; the first error event says why.
    throw problem ?? error
  } finally {
    redis.disconnect()
  }
}
