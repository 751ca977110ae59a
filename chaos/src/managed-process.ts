import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { type AppProcess, spawnApp } from '@tidings/stack/dev/app-process'
import { inheritedEnv } from './env.ts'

/** An API or worker that keeps its name and port while the harness kills and restarts it. */
export interface ManagedProcess {
  readonly name: string
  readonly url: string
  readonly isRunning: boolean
  /** Exit code of the last run; null while it runs, and after a signal. */
  readonly exitCode: number | null
  start(): Promise<void>
  /** Resolves when the process says that it is ready. */
  untilReady(timeoutMs?: number): Promise<void>
  kill9(): Promise<void>
  /** Sends SIGTERM. @returns milliseconds until the process ended. */
  terminate(): Promise<number>
  /** Resolves when the process ends by itself. */
  untilExit(): Promise<void>
  /** The output of all runs. */
  readLog(): Promise<string>
}

export interface ManagedProcessOptions {
  name: string
  /** Path from the root of the repository. */
  main: string
  port: number
  env: Record<string, string>
  /** Variables that must be there when the process starts, such as LD_PRELOAD. */
  processEnv?: NodeJS.ProcessEnv | undefined
  logFile: string
}

export function createManagedProcess({
  name,
  main,
  port,
  env,
  processEnv,
  logFile,
}: ManagedProcessOptions): ManagedProcess {
  const url = `http://127.0.0.1:${port}`
  const log = createWriteStream(logFile, { flags: 'a' })
  let app: AppProcess | undefined
  let exitCode: number | null = null

  return {
    name,
    url,
    get isRunning() {
      return app?.isRunning ?? false
    },
    get exitCode() {
      return exitCode
    },
    async start() {
      app = await spawnApp({
        name,
        main,
        env: { LOG_LEVEL: 'info', ...env },
        baseEnv: { ...inheritedEnv(), ...processEnv },
        readyUrl: `${url}/health/ready`,
        onLine: (line) => log.write(`${line}\n`),
      })
      exitCode = null
      void app.exited.then(({ code }) => {
        exitCode = code
      })
    },
    untilReady: async (timeoutMs = 30_000) => app?.waitUntilReady({ timeoutMs }),
    kill9: async () => void (await app?.kill9()),
    async terminate() {
      const startedAt = performance.now()
      await app?.stop()
      return performance.now() - startedAt
    },
    untilExit: async () => void (await app?.exited),
    readLog: () => readFile(logFile, 'utf8'),
  }
}
