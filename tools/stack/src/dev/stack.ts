import type { QueueChoice } from './choose-queue.ts'
import type { StartEnv } from './env.ts'

export interface StackOptions {
  env: StartEnv
  /** The environment that apps and servers inherit: PATH, HOME and the like. */
  baseEnv: NodeJS.ProcessEnv
  /** Ends the start early. */
  signal: AbortSignal
  /** A step of the start begins. */
  onStep(text: string): void
  /** A running part needs a person's attention: a warning, an error or a restart. */
  onNotice(text: string): void
  /** A part stays down. */
  onGiveUp(part: string): void
}

export interface Stack {
  apiUrl: string
  /** Serves the worker's health and metrics. */
  workerUrl: string
  dataDir: string
  devEnvFile: string
  logDir: string
  database: DatabasePlace
  queue: QueueChoice
  mail: MailPlace
  /** The id of the app's current process. It changes when the app is restarted. */
  pid(app: 'api' | 'worker'): number
  /** Stops the e-mail service, the API, the worker, the mailbox, Redis and PostgreSQL. */
  stop(): Promise<void>
}

/** `external` is the PostgreSQL of DATABASE_URL; `embedded` runs on the data folder. */
export type DatabasePlace = 'external' | 'embedded'

/** `external` is the SMTP server of SMTP_URL; `mailbox` keeps mails, and the API shows them. */
export type MailPlace = 'external' | 'mailbox'
