import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { endProcess, isRunning, spawnGuarded } from '../servers/guarded-process.ts'
import { waitFor } from '../servers/wait-for.ts'
import { COMPILE_CACHE } from './compile-cache.ts'

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url))
const RUNNER = fileURLToPath(new URL('./run-app.ts', import.meta.url))
/** An app ends within 10 s of SIGTERM; one that does not is killed. */
const STOP_LIMIT_MS = 12_000
const MAX_OUTPUT_CHARS = 1_000_000
/**
 * As the Dockerfile and the packages' start scripts have it: on a machine with much memory V8 lets garbage
 * pile up over more than 100 MB before it looks, which buys nothing here.
 */
export const APP_NODE_ARGS: readonly string[] = ['--max-semi-space-size=8', '--max-old-space-size=1024']

export interface AppOptions {
  /** For messages. */
  name: string
  /** Path of its main file from the root of the repository, e.g. apps/api/src/main.ts. */
  main: string
  /** Path of a module of its to load before it is configured. Loading that must do nothing else. */
  ahead?: string
  /** Its whole configuration; without it the app waits for `configure`. */
  env?: Record<string, string | undefined>
  /** What the app inherits: PATH and the like. Default: this process's environment. */
  baseEnv?: NodeJS.ProcessEnv
  /** Where it says 200 once it can work. */
  readyUrl?: string
  /** Gets each line of stdout and stderr. */
  onLine?(line: string): void
}

/** How a process ended. */
export interface AppExit {
  code: number | null
  signal: NodeJS.Signals | null
}

/** A running app in a process of its own. */
export interface AppProcess {
  readonly name: string
  readonly pid: number
  /** Resolves when the process has ended, however it did. */
  readonly exited: Promise<AppExit>
  readonly isRunning: boolean
  /** The last megabyte of stdout and stderr. */
  output(): string
  /** Lets an app start that was spawned without `env`. Once. */
  configure(env: Record<string, string | undefined>, readyUrl: string): void
  /**
   * Waits until this very process has said that it started, and then until its readyUrl says 200: before
   * that, somebody else could be answering there.
   *
   * @throws when it ends instead, or is not ready in time; the message has the end of its output.
   */
  waitUntilReady(options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<void>
  /** SIGTERM, and SIGKILL when it does not end in time. */
  stop(): Promise<AppExit>
  kill9(): Promise<AppExit>
  signal(signal: NodeJS.Signals): void
}

/**
 * Starts one of our apps, api or worker, with the Node that runs this process. It does not outlive us.
 */
export async function spawnApp(options: AppOptions): Promise<AppProcess> {
  const modules = [options.main, options.ahead].filter((path) => path !== undefined)
  const args = [...APP_NODE_ARGS, RUNNER, ...modules.map((path) => join(ROOT, path))]
  const child = await spawnGuarded(process.execPath, args, {
    cwd: ROOT,
    env: { ...COMPILE_CACHE, ...(options.baseEnv ?? process.env) },
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
  for (const stream of [child.stdout, child.stderr])
    forEachLine(stream, (line) => {
      output = `${output}${line}\n`.slice(-MAX_OUTPUT_CHARS)
      options.onLine?.(line)
    })
  let { readyUrl } = options
  const configure = (env: Record<string, string | undefined>) => {
    const given = Object.entries(env).filter(([, value]) => value !== undefined)
    // It may have ended already; waiting for it tells.
    child.send(Object.fromEntries(given), () => {})
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
      if (url === undefined) throw new Error(`${options.name} has no readyUrl`)
      const explain = () => `the end of its output:\n${output.trimEnd().split('\n').slice(-8).join('\n')}`
      // A connection kept open would make it wait for us when it stops.
      const answers = async () => (await fetch(url, { headers: { connection: 'close' } })).ok
      const isReady = async () => !isRunning(child) || (hasStarted && (await answers()))
      const how = { timeoutMs, intervalMs: 20, explain, ...(signal && { signal }) }
      await waitFor(`${options.name} to be ready`, isReady, how)
      if (!isRunning(child)) throw new Error(`${options.name} ended while starting; ${explain()}`)
    },
    stop: () => end('SIGTERM'),
    kill9: () => end('SIGKILL'),
    signal: (signal) => void child.kill(signal),
  }
}

function forEachLine(stream: ChildProcess['stdout'], onLine: (line: string) => void): void {
  let rest = ''
  stream?.setEncoding('utf8')
  stream?.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  })
  stream?.on('end', () => {
    if (rest !== '') onLine(rest)
  })
}
