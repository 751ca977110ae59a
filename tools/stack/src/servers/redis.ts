import type { ChildProcess } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { mkdir, readFile, realpath, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { Redis } from 'ioredis'
import { findPortAsBefore } from './free-port.ts'
import { endProcess, isRunning, spawnGuarded } from './guarded-process.ts'
import { waitFor } from './wait-for.ts'
import { withLogFile } from './with-log-file.ts'

/** Either speaks the protocol and has the append-only file that the queue needs. */
const SERVER_NAMES = ['redis-server', 'valkey-server']
export const NO_REDIS_SERVER = `There is no ${SERVER_NAMES.join(' or ')} on the PATH.`
const STOP_LIMIT_MS = 15_000
/** A large append-only file is read before the server answers. */
const START_LIMIT_MS = 60_000

/** The path of a redis-server or valkey-server, or undefined when there is none on the PATH. */
export function findRedisServer(path: string | undefined = process.env.PATH): string | undefined {
  const folders = (path ?? '').split(delimiter).filter((folder) => folder !== '')
  return SERVER_NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export interface RedisOptions {
  /** Holds the append-only file and the log. Made when absent. */
  dataDir: string
  /** Where it was before: its port is taken when that is free, else another one. Restarts keep it. */
  urlBefore?: string | undefined
  /** Server settings over the durable defaults, as in redis.conf. */
  settings?: Record<string, string | number>
  /** The program to run; searched on the PATH when absent. */
  server?: string | undefined
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
  /** Suspends it (SIGSTOP): connections stay open and nothing answers. */
  freeze(): void
  thaw(): void
  /** Calls back when the server ends without having been told to. */
  onUnexpectedExit(listener: () => void): void
}

/** What keeps an acknowledged job through kill -9 of Redis. */
const DURABLE_SETTINGS = {
  appendonly: 'yes',
  appendfsync: 'always',
  'maxmemory-policy': 'noeviction',
  save: '',
  // A partly written last command is dropped, instead of refusing to start.
  'aof-load-truncated': 'yes',
}

/**
 * Starts a Redis of our own, durable unless `settings` say otherwise; stops one that an earlier, killed
 * parent left on the same directory. Ready when this resolves.
 */
export async function startRedis(options: RedisOptions): Promise<RedisServer> {
  const server = options.server ?? findRedisServer()
  if (server === undefined) throw new Error(NO_REDIS_SERVER)
  await mkdir(options.dataDir, { recursive: true })
  // The name that a server knows its directory by.
  const dataDir = await realpath(options.dataDir)
  await stopStaleServer(dataDir)
  const port = await findPortAsBefore(options.urlBefore)
  const logFile = join(dataDir, 'redis.log')
  const url = urlOf(port)
  const settings = { ...DURABLE_SETTINGS, ...options.settings }
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dataDir, '--daemonize', 'no']
  for (const [name, value] of Object.entries(settings)) args.push(`--${name}`, String(value))

  let child: (ChildProcess & { pid: number }) | undefined
  let expectedExit = false
  const listeners: (() => void)[] = []

  async function start() {
    if (child && isRunning(child)) return
    expectedExit = false
    const started = await withLogFile(logFile, (fd) =>
      spawnGuarded(server as string, args, { env: process.env, stdout: fd, stderr: fd, stopSignal: 'TERM' }),
    )
    child = started
    await writeFile(join(dataDir, PORT_FILE), String(port))
    await waitFor('Redis to answer', () => !isRunning(started) || answers(url), {
      timeoutMs: START_LIMIT_MS,
      intervalMs: 20,
    })
    if (!isRunning(started)) throw new Error(`Redis did not start; see ${logFile}`)
    started.once('exit', () => {
      if (!expectedExit) for (const listener of listeners) listener()
    })
  }

  const running = () => {
    if (!child) throw new Error('Redis has not been started')
    return child
  }
  const end = async (signal: NodeJS.Signals) => {
    expectedExit = true
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

/** Which port the server on this directory had last. */
const PORT_FILE = 'port'

/** Where the server on this directory was last, whether it runs or not; undefined when there never was one. */
export async function privateRedisUrl(dataDir: string): Promise<string | undefined> {
  const port = Number(await readFile(join(dataDir, PORT_FILE), 'utf8').catch(() => ''))
  return port ? urlOf(port) : undefined
}

/** Two servers on one append-only file would ruin it. */
async function stopStaleServer(dataDir: string): Promise<void> {
  const url = await privateRedisUrl(dataDir)
  if (url === undefined) return
  const isOurs = await withRedis(url, async (redis) => {
    const answer = await redis.call('CONFIG', 'GET', 'dir')
    return Array.isArray(answer) && answer[1] === dataDir
  }).catch(() => false)
  if (!isOurs) return
  // SHUTDOWN has no answer: the connection closes.
  await withRedis(url, (redis) => redis.call('SHUTDOWN')).catch(() => {})
  await waitFor('the Redis left over from before to stop', async () => !(await answers(url)), {
    timeoutMs: STOP_LIMIT_MS,
  })
}

const answers = (url: string) =>
  withRedis(url, async (redis) => (await redis.ping()) === 'PONG').catch(() => false)

/**
 * Makes sure that the Redis at `url` answers, within twice `limitMs`.
 *
 * @throws what kept it from answering.
 */
export async function pingRedis(url: string, limitMs: number): Promise<void> {
  await withRedis(url, (redis) => redis.ping(), limitMs)
}

async function withRedis<T>(url: string, use: (redis: Redis) => Promise<T>, limitMs = 1_000): Promise<T> {
  const redis = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
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
    // The rejection itself may only say that the connection is closed.
    throw problem ?? error
  } finally {
    redis.disconnect()
  }
}
