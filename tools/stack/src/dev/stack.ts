import type { QueueChoice } from './choose-queue.ts'
import type { StartEnv } from './env.ts'
import type { DatabaseBefore, DatabasePlace } from './previous-database.ts'

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
  /** Where the worker has its health and metrics. */
  workerUrl: string
  dataDir: string
  devEnvFile: string
  logDir: string
  database: DatabasePlace
  /** Where the database was at the start before, when it was another one: what is in it stays there. */
  databaseLeftBehind: DatabaseBefore | undefined
  queue: QueueChoice
  /** The process that runs this app now. */
  pid(app: 'api' | 'worker'): number
  /** API, worker, Redis, PostgreSQL: in this order. */
  stop(): Promise<void>
}
