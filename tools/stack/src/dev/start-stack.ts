import { join, resolve } from 'node:path'
import { explainListenError } from '@tidings/runtime/listen-error'
import { reachableHost } from '../reachable-host.ts'
import { findListenProblem, findPortAsBefore } from '../servers/free-port.ts'
import { createReleaser, type Releaser } from '../testing/releaser.ts'
import { type AppLog, openAppLog } from './app-log.ts'
import { type AppProcess, spawnApp } from './app-process.ts'
import type { StartEnv } from './env.ts'
import { readEnvFile, writeEnvFile } from './env-file.ts'
import { lockDataDir } from './instance-lock.ts'
import { makeDataFolder } from './make-data-folder.ts'
import type { Stack, StackOptions } from './stack.ts'
import { supervise } from './supervisor.ts'

/** Each app, and the module that imports nearly all of it. */
const APPS = { api: 'start-api.ts', worker: 'run-worker.ts' } as const
type AppName = keyof typeof APPS

/**
 * Brings up everything that Tidings needs, and Tidings. When it fails half-way, what was started is stopped
 * again.
 *
 * @throws AlreadyRunningError, a StartupError whose message is enough, or what a part says.
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

async function bringUp(options: StackOptions, releaser: Releaser): Promise<Stack> {
  const { env, signal, onStep } = options
  const dataDir = resolve(env.DATA_DIR)
  const logDir = join(dataDir, 'logs')
  const devEnvFile = join(dataDir, 'dev.env')
  await makeDataFolder(logDir, env.DATA_DIR)
  releaser.onRelease(await lockDataDir(dataDir))
  await assertCanListen(env)
  const step = (text: string) => {
    signal.throwIfAborted()
    onStep(text)
  }

  // Loading code is most of a start: all of it is loaded while the servers come up.
  const worker = await prepareApp('worker', logDir, options, releaser)
  const api = await prepareApp('api', logDir, options, releaser)
  const { bringUpStores } = await import('./start-stores.ts')
  const earlier = await readEnvFile(devEnvFile)
  const stores = await bringUpStores({ ...options, dataDir, earlier, step }, releaser)
  const apiUrl = `http://${reachableHost(env.HOST, 'localhost')}:${env.PORT}`
  const probedApiUrl = `http://${reachableHost(env.HOST, '127.0.0.1')}:${env.PORT}`
  const workerPort = env.WORKER_PORT ?? (await findPortAsBefore(earlier.WORKER_URL))
  const workerUrl = `http://127.0.0.1:${workerPort}`
  const shared = {
    DATABASE_URL: stores.databaseUrl,
    REDIS_URL: stores.redisUrl,
    QUEUE_BACKEND: stores.redisUrl === undefined ? 'postgres' : 'redis',
    QUEUE_PREFIX: env.QUEUE_PREFIX,
    QUEUE_SHARDS: String(env.QUEUE_SHARDS),
  }
  await writeEnvFile(devEnvFile, 'Written by npm start. Secrets: keep it to yourself.', {
    API_URL: apiUrl,
    WORKER_URL: workerUrl,
    ...shared,
    JWT_KEYS_FILE: stores.jwtKeysFile,
    ...stores.keys,
  })

  step('starting the worker and the API')
  await assertCanListen(env)
  const [startedWorker, startedApi] = await Promise.allSettled([
    worker.start({ ...shared, HOST: '127.0.0.1', WORKER_PORT: String(workerPort) }, workerUrl),
    api.start(
      { ...shared, HOST: env.HOST, PORT: String(env.PORT), JWT_KEYS_FILE: stores.jwtKeysFile },
      probedApiUrl,
    ),
  ])
  // Registered in this order, so that the API, which takes events in, stops first.
  for (const app of [startedWorker, startedApi])
    if (app.status === 'fulfilled') releaser.onRelease(app.value.stop)
  if (startedWorker.status === 'rejected') throw startedWorker.reason
  if (startedApi.status === 'rejected') throw startedApi.reason
  signal.throwIfAborted()
  const running = { api: startedApi.value, worker: startedWorker.value }
  return {
    apiUrl,
    workerUrl,
    dataDir,
    devEnvFile,
    logDir,
    database: stores.database,
    databaseLeftBehind: stores.databaseLeftBehind,
    queue: stores.queue,
    pid: (app) => running[app].pid,
    stop: releaser.release,
  }
}

/** @throws StartupError in one line where the configuration is to blame. */
async function assertCanListen({ PORT, HOST }: StartEnv): Promise<void> {
  const problem = await findListenProblem(PORT, HOST)
  if (problem !== undefined)
    throw explainListenError(problem, { port: PORT, host: HOST, portVariable: 'PORT' })
}

/** An app whose code is being loaded; `start` configures it and waits until it works. */
async function prepareApp(name: AppName, logDir: string, options: StackOptions, releaser: Releaser) {
  const { baseEnv, onNotice, onGiveUp, signal } = options
  const log: AppLog = openAppLog(name, join(logDir, `${name}.log`), onNotice)
  releaser.onRelease(log.close)
  const folder = `apps/${name}/src`
  const spawn = () =>
    spawnApp({
      name,
      main: `${folder}/main.ts`,
      ahead: `${folder}/${APPS[name]}`,
      baseEnv,
      onLine: log.write,
    })
  let prepared: AppProcess | undefined = await spawn()
  releaser.onRelease(() => prepared?.stop().then(() => {}))
  return {
    async start(appEnv: Record<string, string | undefined>, url: string) {
      return supervise(
        {
          async spawn() {
            const app = prepared ?? (await spawn())
            prepared = undefined
            app.configure(appEnv, `${url}/health/ready`)
            return app
          },
          say: onNotice,
          onGiveUp,
        },
        signal,
      )
    },
  }
}
