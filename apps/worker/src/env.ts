import { MIN_DEDUPLICATION_DAYS } from '@tidings/db/events/deduplication-window'
import { days, envFields, parseEnv, wholeNumber } from '@tidings/runtime/env'
import { z } from 'zod'

const workerEnvSchema = z.object({
  ...envFields,
  WORKER_PORT: wholeNumber(0, 65_535).default(8002),
  HOST: z.string().default('127.0.0.1'),
  WORKER_CONCURRENCY: wholeNumber(1, 256).default(100),
  DEDUPLICATION_WINDOW: days(MIN_DEDUPLICATION_DAYS, 3650).default(MIN_DEDUPLICATION_DAYS),
})

export type WorkerEnv = z.infer<typeof workerEnvSchema>

/** @throws ConfigError listing all problems. */
export function readWorkerEnv(): WorkerEnv {
  return parseEnv(workerEnvSchema, process.env)
}

/** All variables that the worker reads. Tests check that .env.example and the deployment files name each of them. */
export const WORKER_VARIABLES: readonly string[] = Object.keys(workerEnvSchema.shape)
