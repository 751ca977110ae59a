import { envFields, hookEnvFields, parseEnv, wholeNumber } from '@tidings/runtime/env'
import { z } from 'zod'

const startEnvSchema = z.object({
  PORT: wholeNumber(1, 65_535).default(8001),
  /** The default lets in this machine only. */
  HOST: z.string().default('127.0.0.1'),
  WORKER_PORT: wholeNumber(1, 65_535).optional(),
  DATA_DIR: z.string().default('.data'),
  DATABASE_URL: envFields.DATABASE_URL.optional(),
  DATABASE_DIRECT_URL: envFields.DATABASE_DIRECT_URL,
  REDIS_URL: envFields.REDIS_URL,
  QUEUE_BACKEND: envFields.QUEUE_BACKEND,
  QUEUE_PREFIX: envFields.QUEUE_PREFIX,
  QUEUE_SHARDS: envFields.QUEUE_SHARDS,
  RECIPIENT_KEY: envFields.RECIPIENT_KEY,
  HOOK_SECRETS_KEY: hookEnvFields.HOOK_SECRETS_KEY,
  /** Sends real mails. Without it a local mailbox keeps them. */
  SMTP_URL: z
    .url({ protocol: /^smtps?$/, error: 'needs a URL like smtps://user:password@smtp.example.com' })
    .optional(),
  MAIL_FROM: z.string().default('Tidings <tidings@localhost.localdomain>'),
  JWT_KEYS: z.string().optional(),
  JWT_KEYS_FILE: z.string().optional(),
})

export type StartEnv = z.infer<typeof startEnvSchema>

/** @throws ConfigError with all problems at once. */
export function readStartEnv(source: NodeJS.ProcessEnv): StartEnv {
  return parseEnv(startEnvSchema, source)
}

/** Every variable that npm start reads; .env.example documents each. */
export const START_VARIABLES: readonly string[] = Object.keys(startEnvSchema.shape)
