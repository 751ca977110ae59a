import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { openDatabase } from '@tidings/db/database'
import { migrateDatabase } from '@tidings/db/migrate'
import { prepareQueueBackend, type QueueBackend } from '@tidings/queue/backend'
import { openAppLog } from './app-log.ts'
import { ensureJwtKeys, ensureServiceKeys, readEnvFile, writeEnvFile } from './dev-env.ts'
import { findFreePort, isPortFree } from './free-port.ts'
import { lockDataDir } from './instance-lock.ts'
import { createDatabase, startPostgres } from './postgres.ts'
import { spawnApp } from './processes.ts'
import { findRedisServer, startRedis } from './redis.ts'
import { createReleaser } from './releaser.ts'
import type { StartEnv } from './start-env.ts'
import { supervise } from './supervisor.ts'

/** The port that was asked for is in use. */
export class PortTakenError extends Error {
  constructor(port: number) {
    super(
      `Port ${port} is already in use. Stop what listens there, or choose another: PORT=${port + 1} npm start`,
    )
    this.name = 'PortTakenError'
  }
}

export interface StackOptions {
  env: StartEnv
  /** Passed on to the apps. */
  baseEnv: NodeJS.ProcessEnv
  /** Ends the start early. */
  signal: AbortSignal
  /** A step begins. */
  onStep(text: string): void
  /** Something a person should know happened while it runs. */
  onNotice(text: string): void
  /** A part is down for good. */
  onGiveUp(part: string): void
}

export interface Stack {
  apiUrl: string
  dataDir: string
  devEnvFile: string
  logDir: string
  database: 'embedded' | 'given'
  queue: 'redis-given' | 'redis-private' | 'postgres'
  /** The process that runs this app now. */
  pid(app: 'api' | 'worker'): number
  /** API, worker, Redis, PostgreSQL: in this order. */
  stop(): Promise<void>
}

const DATABASE = 'tidings'
const SCHEMA = 'bullmq'

/**
 * Brings up everything that Tidings needs, and Tidings. When it fails half-way, what was started is stopped
 * again.
 *
 * @throws AlreadyRunningError, PortTakenError, or what a part says.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const releaser = createReleaser()
  try {
    return await bringUp(options, releaser)
  } catch (error) {
    await releaser.release()
    throw error
  }
}

async function bringUp(options: StackOptions, releaser: ReturnType<typeof createReleaser>): Promise<Stack> {
  const { env, signal, onStep, onNotice } = options
  const dataDir = resolve(env.DATA_DIR)
  const logDir = join(dataDir, 'logs')
  const devEnvFile = join(dataDir, 'dev.env')
  await mkdir(logDir, { recursive: true })
  releaser.onRelease(await lockDataDir(dataDir))
  if (!(await isPortFree(env.PORT, env.HOST))) throw new PortTakenError(env.PORT)
  const earlier = await readEnvFile(devEnvFile)
  const step = (text: string) => {
    signal.throwIfAborted()
    onStep(text)
  }

  const databaseUrl = env.DATABASE_URL ?? (await bringUpPostgres())
  const { queue, redisUrl } = await bringUpQueue()

  step('bringing the database to the newest schema')
  await migrateDatabase(databaseUrl)
  const backend: QueueBackend =
    redisUrl === undefined
      ? { kind: 'postgres', url: databaseUrl, schema: SCHEMA }
      : { kind: 'redis', url: redisUrl, prefix: env.QUEUE_PREFIX }
  await prepareQueueBackend(backend)

  const keysFile = join(dataDir, 'jwt-keys.json')
  if (env.JWT_KEYS === undefined && env.JWT_KEYS_FILE === undefined) await ensureJwtKeys(keysFile)
  const keys = await makeServiceKeys(databaseUrl, earlier)
  const apiUrl = `http://localhost:${env.PORT}`
  const workerPort = env.WORKER_PORT ?? (await findFreePort())
  const shared = {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    QUEUE_BACKEND: backend.kind,
    QUEUE_PREFIX: env.QUEUE_PREFIX,
    QUEUE_SHARDS: String(env.QUEUE_SHARDS),
  }
  await writeEnvFile(devEnvFile, 'Written by npm start. Secrets: keep it to yourself.', {
    API_URL: apiUrl,
    ...shared,
    ...keys,
  })

  step('starting the worker and the API')
  // Somebody may have taken it meanwhile, and would then answer in our name.
  if (!(await isPortFree(env.PORT, env.HOST))) throw new PortTakenError(env.PORT)
  const ownKeys = env.JWT_KEYS ?? env.JWT_KEYS_FILE
  const [worker, api] = await Promise.allSettled([
    bringUpApp('worker', { ...shared, HOST: '127.0.0.1', WORKER_PORT: String(workerPort) }, workerPort),
    bringUpApp(
      'api',
      {
        ...shared,
        HOST: env.HOST,
        PORT: String(env.PORT),
        ...(ownKeys === undefined && { JWT_KEYS_FILE: keysFile }),
      },
      env.PORT,
    ),
  ])
  // Registered in this order, so that the API, which takes events in, stops first.
  for (const app of [worker, api]) if (app.status === 'fulfilled') releaser.onRelease(app.value.stop)
  if (worker.status === 'rejected') throw worker.reason
  if (api.status === 'rejected') throw api.reason
  signal.throwIfAborted()
  const pids = { api: () => api.value.pid, worker: () => worker.value.pid }

  const database = env.DATABASE_URL === undefined ? 'embedded' : 'given'
  return {
    apiUrl,
    dataDir,
    devEnvFile,
    logDir,
    database,
    queue,
    pid: (app) => pids[app](),
    stop: releaser.release,
  }

  async function bringUpPostgres(): Promise<string> {
    step('starting PostgreSQL')
    const postgres = await startPostgres({
      dataDir: join(dataDir, 'postgres'),
      port: await portAsBefore(earlier.DATABASE_URL),
    })
    releaser.onRelease(() => postgres.stop())
    bringBack('PostgreSQL', postgres)
    await createDatabase(postgres.adminUrl, DATABASE)
    return postgres.url(DATABASE)
  }

  async function bringUpQueue(): Promise<{ queue: Stack['queue']; redisUrl: string | undefined }> {
    if (env.QUEUE_BACKEND === 'postgres') return { queue: 'postgres', redisUrl: undefined }
    if (env.REDIS_URL !== undefined) return { queue: 'redis-given', redisUrl: env.REDIS_URL }
    const server = findRedisServer(options.baseEnv.PATH)
    if (server === undefined) return { queue: 'postgres', redisUrl: undefined }
    step('starting Redis')
    const port = await portAsBefore(earlier.REDIS_URL)
    const redis = await startRedis({ dataDir: join(dataDir, 'redis'), server, port })
    releaser.onRelease(redis.stop)
    bringBack('Redis', redis)
    return { queue: 'redis-private', redisUrl: redis.url }
  }

  function bringBack(
    name: string,
    server: { start(): Promise<void>; onUnexpectedExit(l: () => void): void },
  ): void {
    server.onUnexpectedExit(() => {
      if (signal.aborted) return
      onNotice(`${name} ended unexpectedly; starting it again`)
      server.start().catch(() => options.onGiveUp(name))
    })
  }

  async function bringUpApp(
    name: 'api' | 'worker',
    appEnv: Record<string, string | undefined>,
    port: number,
  ) {
    const log = openAppLog(name, join(logDir, `${name}.log`), onNotice)
    const supervised = await supervise(
      {
        spawn: () =>
          spawnApp({
            name,
            main: `apps/${name}/src/main.ts`,
            env: appEnv,
            baseEnv: options.baseEnv,
            readyUrl: `http://127.0.0.1:${port}/health/ready`,
            onLine: log.write,
          }),
        say: onNotice,
        onGiveUp: options.onGiveUp,
      },
      signal,
    )
    return {
      get pid() {
        return supervised.pid
      },
      stop: async () => {
        await supervised.stop()
        await log.close()
      },
    }
  }
}

/** The same port again, so that what was configured by hand goes on working; a free one if that is taken. */
async function portAsBefore(url: string | undefined): Promise<number> {
  const port = url !== undefined && URL.canParse(url) ? Number(new URL(url).port) : 0
  return port > 0 && (await isPortFree(port, '127.0.0.1')) ? port : findFreePort()
}

async function makeServiceKeys(url: string, earlier: Record<string, string | undefined>) {
  const db = openDatabase({
    url,
    applicationName: 'tidings-start',
    maxConnections: 1,
    connectTimeoutMs: 10_000,
    onError: () => {},
  })
  try {
    return await ensureServiceKeys(db, earlier)
  } finally {
    await db.close()
  }
}
