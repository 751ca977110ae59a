import { isIPv6 } from 'node:net'
import { join, resolve } from 'node:path'
import { presentVariables } from '@tidings/runtime/env'
import { type EnvFileVariables, readEnvFile, writeEnvFile } from '@tidings/runtime/env-file'
import { explainListenError } from '@tidings/runtime/listen-error'
import { createReleaser, type Releaser } from '../releaser.ts'
import { findListenProblem, findSamePort } from '../servers/free-port.ts'
import { chooseHookSecretsKey, chooseRecipientKey } from './choose-keys.ts'
import type { StartEnv } from './env.ts'
import { lockDataDir } from './instance-lock.ts'
import { openMail, startEmailService } from './mail.ts'
import { makeDataFolder } from './make-data-folder.ts'
import { prepareApp } from './prepare-app.ts'
import type { Stack, StackOptions } from './stack.ts'
import type { Stores } from './start-stores.ts'

/**
 * Starts the stores, the API and the worker. When a part fails, stops the parts that were started.
 *
 * @throws AlreadyRunningError, a StartupError whose message is complete, or the error of a part.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const releaser = createReleaser()
  try {
    return await startParts(options, releaser)
  } catch (error) {
    await releaser.release()
    throw error
  }
}

async function startParts(given: StackOptions, releaser: Releaser): Promise<Stack> {
  // Secrets in files are read here: an app refuses a variable that is set in both ways.
  const options = { ...given, baseEnv: presentVariables(given.baseEnv) }
  const { signal } = options
  const dataDir = resolve(options.env.DATA_DIR)
  const logDir = join(dataDir, 'logs')
  const devEnvFile = join(dataDir, 'dev.env')
  await makeDataFolder(logDir, options.env.DATA_DIR)
  releaser.onRelease(await lockDataDir(dataDir))
  const previous = readEnvFile(devEnvFile)
  const env = withoutPrivateStores(options.env, previous)
  await assertCanListen(env)
  const step = (text: string) => {
    signal.throwIfAborted()
    options.onStep(text)
  }

  // Loading code is most of a start, so the apps load theirs while the servers start.
  const worker = await prepareApp('worker', logDir, options, releaser)
  const api = await prepareApp('api', logDir, options, releaser)
  const mail = await openMail(env, releaser)
  const { startStores } = await import('./start-stores.ts')
  const stores = await startStores({ ...options, env, dataDir, previous, step }, releaser)

  const apiUrl = `http://${reachableHost(env.HOST, 'localhost')}:${env.PORT}`
  const probedApiUrl = `http://${reachableHost(env.HOST, '127.0.0.1')}:${env.PORT}`
  const workerPort = env.WORKER_PORT ?? (await findSamePort(previous.WORKER_URL))
  const workerUrl = `http://127.0.0.1:${workerPort}`
  const shared = {
    DATABASE_URL: stores.databaseUrl,
    // Blank counts as absent: the apps inherit the variables of this process.
    DATABASE_DIRECT_URL: stores.directUrl ?? '',
    ...(stores.database === 'embedded' && { DATABASE_READ_URL: '' }),
    REDIS_URL: stores.redisUrl,
    QUEUE_BACKEND: stores.redisUrl === undefined ? 'postgres' : 'redis',
    QUEUE_PREFIX: env.QUEUE_PREFIX,
    QUEUE_SHARDS: String(env.QUEUE_SHARDS),
    RECIPIENT_KEY: chooseRecipientKey(env.RECIPIENT_KEY, previous),
  }
  const hookSecretsKey = chooseHookSecretsKey(env.HOOK_SECRETS_KEY, previous)
  await writeEnvFile(devEnvFile, 'Written by npm start. It holds secrets: do not share it.', {
    DATA_DIR: dataDir,
    API_URL: apiUrl,
    WORKER_URL: workerUrl,
    ...shared,
    HOOK_SECRETS_KEY: hookSecretsKey,
    JWT_KEYS_FILE: stores.jwtKeysFile,
    ...stores.keys,
    PRIVATE_STORES: listPrivateStores(stores),
  })

  step('starting the worker and the API')
  await assertCanListen(env)
  const [startedWorker, startedApi] = await Promise.allSettled([
    worker.start(
      { ...shared, HOST: '127.0.0.1', WORKER_PORT: String(workerPort), API_URL: apiUrl },
      workerUrl,
    ),
    api.start(
      {
        ...shared,
        HOST: env.HOST,
        PORT: String(env.PORT),
        JWT_KEYS_FILE: stores.jwtKeysFile,
        DEV_MAILBOX_URL: mail.mailboxUrl,
        API_URL: apiUrl,
        HOOK_SECRETS_KEY: hookSecretsKey,
      },
      probedApiUrl,
    ),
  ])
  // The order of registration: the API accepts events, so it must stop first.
  for (const app of [startedWorker, startedApi])
    if (app.status === 'fulfilled') releaser.onRelease(app.value.stop)
  if (startedWorker.status === 'rejected') throw startedWorker.reason
  if (startedApi.status === 'rejected') throw startedApi.reason
  signal.throwIfAborted()
  // Not waited for: nobody needs it in the first second, and loading its code would make this start longer.
  startEmailService(
    {
      ...shared,
      API_URL: probedApiUrl,
      SERVICE_KEY: stores.emailServiceKey,
      SMTP_URL: mail.smtpUrl,
      MAIL_FROM: env.MAIL_FROM,
    },
    logDir,
    options,
    releaser,
  )
  const running = { api: startedApi.value, worker: startedWorker.value }
  const { database, queue } = stores
  return {
    apiUrl,
    workerUrl,
    dataDir,
    devEnvFile,
    logDir,
    database,
    queue,
    mail: mail.mailboxUrl === undefined ? 'external' : 'mailbox',
    pid: (app) => running[app].pid,
    stop: releaser.release,
  }
}

/** The variables of the stores that npm start runs itself, separated by commas. */
const listPrivateStores = ({ database, queue }: Pick<Stores, 'database' | 'queue'>) =>
  [
    ...(database === 'embedded' ? ['DATABASE_URL'] : []),
    ...(queue.place === 'redis-private' ? ['REDIS_URL'] : []),
  ].join(',')

/**
 * Ignores the URLs of stores that the previous start ran itself. A shell that has sourced dev.env still exports them,
 * and nothing listens there any more.
 */
export function withoutPrivateStores(env: StartEnv, previous: EnvFileVariables): StartEnv {
  const names = previous.PRIVATE_STORES?.split(',') ?? []
  const unlessPrivate = (name: 'DATABASE_URL' | 'REDIS_URL') =>
    names.includes(name) && env[name] === previous[name] ? undefined : env[name]
  return { ...env, DATABASE_URL: unlessPrivate('DATABASE_URL'), REDIS_URL: unlessPrivate('REDIS_URL') }
}

/** @throws StartupError of one line when PORT or HOST cannot be used. */
async function assertCanListen({ PORT, HOST }: StartEnv): Promise<void> {
  const problem = await findListenProblem(PORT, HOST)
  if (problem !== undefined)
    throw explainListenError(problem, { port: PORT, host: HOST, portVariable: 'PORT' })
}

/** Servers that listen on these are reached at any address of this machine. */
const EVERY_ADDRESS = ['0.0.0.0', '::']

/**
 * Returns the host of a URL at which this machine reaches a server.
 *
 * @param host the address that the server listens on.
 * @param loopback the name to use for a server on 127.0.0.1 or on every address.
 */
export function reachableHost(host: string, loopback: '127.0.0.1' | 'localhost'): string {
  if (host === '127.0.0.1' || EVERY_ADDRESS.includes(host)) return loopback
  return isIPv6(host) ? `[${host}]` : host
}
