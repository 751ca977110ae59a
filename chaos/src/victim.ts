import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { type AppProcess, spawnApp } from '@tidings/stack/dev/app-process'

/** One of our processes under a name and port that stay, while it is killed and started again. */
export interface Victim {
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
  /** Everything it wrote, over all its lives. */
  readLog(): Promise<string>
}

export interface VictimOptions {
  name: string
  /** Path from the root of the repository. */
  main: string
  port: number
  env: Record<string, string>
  logFile: string
}

export function createVictim({ name, main, port, env, logFile }: VictimOptions): Victim {
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
        // Nothing of the caller's: only PATH.
        baseEnv: { PATH: process.env.PATH },
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
