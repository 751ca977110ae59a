import { MIN_DEDUPLICATION_DAYS } from '@tidings/db/events/deduplication-window'
import { days, duration, envFields, httpUrl, parseEnv, wholeNumber } from '@tidings/runtime/env'
import { z } from 'zod'

/** Paths are appended to it, so it may have neither a query nor a fragment. */
const linkBase = (example: string) =>
  httpUrl(example).refine((text) => !/[?#]/.test(text), 'may have no ? and no #: paths are appended to it')

const workerEnvSchema = z.object({
  ...envFields,
  WORKER_PORT: wholeNumber(0, 65_535).default(8002),
  HOST: z.string().default('127.0.0.1'),
  WORKER_CONCURRENCY: wholeNumber(1, 256).default(100),
  /** The application's own pages for the links in outbound messages. */
  APP_URL: linkBase('https://app.example.com').optional(),
  /** The public address of the API, whose pages the links name where APP_URL is not set. */
  API_URL: linkBase('https://api.example.com').default('http://localhost:8001'),
  DEDUPLICATION_WINDOW: days(MIN_DEDUPLICATION_DAYS, 3650).default(MIN_DEDUPLICATION_DAYS),
  /** How long a job that a newer version wrote waits for a newer worker. In milliseconds once read. */
  UNKNOWN_VERSION_WAIT: duration('1s', '7d').default(3_600_000),
})

export type WorkerEnv = z.infer<typeof workerEnvSchema>

/** @throws ConfigError listing all problems. */
export function readWorkerEnv(): WorkerEnv {
  return parseEnv(workerEnvSchema, process.env)
}

/** All variables that the worker reads. Tests check that .env.example and the deployment files name each of them. */
export const WORKER_VARIABLES: readonly string[] = Object.keys(workerEnvSchema.shape)
