import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { endProcess, isRunning, spawnGuarded } from '../servers/guarded-process.ts'
import { waitFor } from '../servers/wait-for.ts'
import { COMPILE_CACHE } from './compile-cache.ts'

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))
const RUNNER = fileURLToPath(new URL('./run-app.ts', import.meta.url))
/** An app ends within 10 s of SIGTERM; after this it is killed. */
const STOP_LIMIT_MS = 12_000
const MAX_OUTPUT_CHARS = 1_000_000
/** How much of its output a failed start shows. */
const SHOWN_LINES = 8
/**
 * The same as in the Dockerfile and in the packages' start scripts. On a machine with much memory V8 otherwise lets
 * more than 100 MB of garbage pile up, which makes nothing faster.
 */
export const APP_NODE_ARGS: readonly string[] = ['--max-semi-space-size=8', '--max-old-space-size=1024']

export interface AppOptions {
  /** Names the app in messages. */
  name: string
  /** Path of the app's main file from the root of the repository, such as apps/api/src/main.ts. */
  main: string
  /** Path of a module of the app to load before the app is configured. Importing it must do nothing. */
  ahead?: string
  /** The app's whole configuration; without it the app waits for `configure`. */
  env?: Record<string, string | undefined>
  /** What the app's process inherits, such as PATH. Default: nothing, which is all that an app needs. */
  baseEnv?: NodeJS.ProcessEnv
  /** Answers 200 when the app is ready. Without it, the app is ready when it reports that it started. */
  readyUrl?: string
  /** Receives each line of stdout and stderr. */
  onLine?(line: string): void
}

/** How a process ended. */
export interface AppExit {
  code: number | null
  signal: NodeJS.Signals | null
}

/** An app that runs in its own process. */
export interface AppProcess {
  readonly name: string
  readonly pid: number
  /** Resolves when the process has ended, for whatever reason. */
  readonly exited: Promise<AppExit>
  readonly isRunning: boolean
  /** The last megabyte of stdout and stderr. */
  output(): string
  /** Starts an app that was spawned without `env`. Call it once. */
  configure(env: Record<string, string | undefined>, readyUrl?: string): void
  /**
   * Waits until the process has reported that it started, and then until its readyUrl, if any, answers 200. Before the
   * report another process could be answering there.
   *
   * @throws when the process ends or time runs out; the message quotes the end of its output.
   */
  waitUntilReady(options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<void>
  /** Sends SIGTERM, and SIGKILL when the process does not end in time. */
  stop(): Promise<AppExit>
  kill9(): Promise<AppExit>
  signal(signal: NodeJS.Signals): void
}

/**
 * Spawns one of our apps with the Node that runs this process. The app ends when this process ends.
 *
 * @throws when the process cannot be spawned.
 */
export async function spawnApp(options: AppOptions): Promise<AppProcess> {
  const modules = [options.main, options.ahead].filter((path) => path !== undefined)
  const args = [...APP_NODE_ARGS, RUNNER, ...modules.map((path) => join(ROOT, path))]
  const child = await spawnGuarded(process.execPath, args, {
    cwd: ROOT,
    env: { ...COMPILE_CACHE, ...options.baseEnv },
    stdout: 'pipe',
    stderr: 'pipe',
    stopSignal: 'TERM',
    ipc: true,
  })
  let hasStarted = false
  child.once('message', () => {
    hasStarted = true
  })
  const exited: Promise<AppExit> = once(child, 'exit').then(([code, signal]) => ({ code, signal }))
  let output = ''
  const takeLine = (line: string) => {
    output = `${output}${line}\n`.slice(-MAX_OUTPUT_CHARS)
    options.onLine?.(line)
  }
  forEachLine(child.stdout, takeLine)
  forEachLine(child.stderr, takeLine)

  let { readyUrl } = options
  const configure = (env: Record<string, string | undefined>) => {
    const set = Object.entries(env).filter(([, value]) => value !== undefined)
    // An error here means that the process has ended, which waitUntilReady reports.
    child.send(Object.fromEntries(set), () => {})
  }
  if (options.env !== undefined) configure(options.env)
  const end = async (signal: NodeJS.Signals) => {
    await endProcess(child, signal, STOP_LIMIT_MS)
    return exited
  }

  return {
    name: options.name,
    pid: child.pid,
    exited,
    get isRunning() {
      return isRunning(child)
    },
    output: () => output,
    configure(env, url) {
      readyUrl = url
      configure(env)
    },
    async waitUntilReady({ timeoutMs = 30_000, signal } = {}) {
      const url = readyUrl
      const explain = () =>
        `the end of its output:\n${output.trimEnd().split('\n').slice(-SHOWN_LINES).join('\n')}`
      // A stopping app waits for the connections that its clients keep open.
      const isReady = async () =>
        url === undefined || (await fetch(url, { headers: { connection: 'close' } })).ok
      await waitFor(
        `${options.name} to be ready`,
        async () => !isRunning(child) || (hasStarted && (await isReady())),
        { timeoutMs, intervalMs: 20, explain, ...(signal && { signal }) },
      )
      if (!isRunning(child)) throw new Error(`${options.name} ended while starting; ${explain()}`)
    },
    stop: () => end('SIGTERM'),
    kill9: () => end('SIGKILL'),
    signal: (signal) => void child.kill(signal),
  }
}

function forEachLine(stream: Readable | null, onLine: (line: string) => void): void {
  if (stream !== null) createInterface({ input: stream }).on('line', onLine)
}
