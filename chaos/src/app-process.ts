import { once } from 'node:events'
import { openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { endProcess, isRunning, spawnGuarded } from '@tidings/stack/guarded-process'
import { waitFor } from '@tidings/stack/wait-for'

/** A real process of ours that is killed and started again under the same name. */
export interface AppProcess {
  readonly name: string
  readonly url: string
  readonly isRunning: boolean
  /** Exit code of the last run; null while it runs or when a signal ended it. */
  readonly exitCode: number | null
  start(): Promise<void>
  /** Resolves when it answers ready. */
  untilReady(timeoutMs?: number): Promise<void>
  kill9(): Promise<void>
  /** SIGTERM. @returns milliseconds until it was gone. */
  terminate(): Promise<number>
  /** Resolves when it ends by itself. */
  untilExit(): Promise<void>
  readLog(): Promise<string>
}

export interface AppProcessOptions {
  name: string
  main: URL
  port: number
  env: Record<string, string>
  logFile: string
}

export function createAppProcess({ name, main, port, env, logFile }: AppProcessOptions): AppProcess {
  const url = `http://127.0.0.1:${port}`
  const log = openSync(logFile, 'a')
  let child: Awaited<ReturnType<typeof spawnGuarded>> | undefined

  return {
    name,
    url,
    get isRunning() {
      return child !== undefined && isRunning(child)
    },
    get exitCode() {
      return child?.exitCode ?? null
    },
    async start() {
      child = await spawnGuarded(process.execPath, [main.pathname], {
        env: { PATH: process.env.PATH, LOG_LEVEL: 'info', ...env },
        stdout: log,
        stderr: log,
        stopSignal: 'TERM',
      })
    },
    untilReady: async (timeoutMs = 20_000) => {
      await waitFor(`${name} to be ready`, async () => (await fetch(`${url}/health/ready`)).ok, {
        timeoutMs,
        explain: () => `see ${logFile}`,
      })
    },
    async kill9() {
      if (child) await endProcess(child, 'SIGKILL', 5_000)
    },
    async terminate() {
      const startedAt = performance.now()
      if (child) await endProcess(child, 'SIGTERM', 20_000)
      return performance.now() - startedAt
    },
    readLog: () => readFile(logFile, 'utf8'),
    async untilExit() {
      if (child && isRunning(child)) await once(child, 'exit')
    },
  }
}
