import { accountEnvFields } from '@tidings/accounts/env-fields'
import {
  envFields,
  flag,
  hookEnvFields,
  httpUrl,
  parseEnv,
  replicaEnvFields,
  wholeNumber,
} from '@tidings/runtime/env'
import { z } from 'zod'

const limit = wholeNumber(1)

const origins = z
  .string()
  .transform((list) => list.split(',').map((origin) => origin.trim()))
  .refine((list) => list.every(isOrigin), {
    error: 'needs exact origins like https://app.example.com, separated by commas; no wildcard',
  })

function isOrigin(text: string): boolean {
  // A URL may hold a *, and no browser sends one.
  return /^https?:\/\/[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text
}

const schema = z.object({
  ...envFields,
  ...replicaEnvFields,
  /** The API refuses new events while the queue holds this many jobs. */
  QUEUE_MAX_DEPTH: wholeNumber(1).default(50_000),
  PORT: wholeNumber(0, 65_535).default(8001),
  HOST: z.string().default('0.0.0.0'),
  /** Base URL at which others reach the API. It begins the links that the API makes. */
  API_URL: httpUrl('https://api.example.com').default('http://localhost:8001'),
  ...hookEnvFields,
  /** Seconds that an idle connection stays open. */
  KEEP_ALIVE_TIMEOUT: wholeNumber(1, 3_600).default(65),
  /** Seconds between "not ready" and closing the port. */
  SHUTDOWN_DELAY: wholeNumber(0, 300).default(0),
  JWT_KEYS: z.string().optional(),
  JWT_KEYS_FILE: z.string().optional(),
  JWT_ISSUER: z.string().default('tidings'),
  JWT_AUDIENCE: z.string().default('tidings'),
  /** Seconds. */
  ACCESS_TOKEN_TTL: wholeNumber(1, 900).default(900),
  /** Seconds. */
  REFRESH_TOKEN_TTL: wholeNumber(1, 365 * 86_400).default(30 * 86_400),
  LEGACY_HS256_SECRET: z.string().min(16, 'needs at least 16 characters').optional(),
  PASSWORD_ITERATIONS: accountEnvFields.PASSWORD_ITERATIONS,
  /** Base URL of the application's pages for the links in messages. Without it, the API serves such pages itself. */
  APP_URL: httpUrl('https://app.example.com').optional(),
  REQUIRE_VERIFIED_EMAIL: flag(false),
  CORS_ORIGINS: origins.default([]),
  TRUSTED_PROXY_HOPS: wholeNumber(0, 16).default(0),
  /** Serves Bull Board at /admin/queues, behind an operator key. */
  ADMIN_UI_ENABLED: flag(false),
  /** The local mailbox of npm start, which /dev/mailbox shows to everybody. */
  DEV_MAILBOX_URL: httpUrl('http://127.0.0.1:8025').optional(),
  RATE_LIMIT_ENABLED: flag(true),
  /** Logins a minute, failed or not: from one address, and for one account from one address. */
  RATE_LIMIT_LOGIN_PER_IP: limit.default(30),
  RATE_LIMIT_LOGIN_PER_ACCOUNT_IP: limit.default(10),
  /** Registrations an hour from one address. */
  RATE_LIMIT_REGISTER_PER_IP: limit.default(60),
  /** Refreshes a minute from one address. */
  RATE_LIMIT_REFRESH_PER_IP: limit.default(120),
  /** Wrong passwords an hour for one account, over all addresses. */
  RATE_LIMIT_WRONG_PASSWORDS_PER_ACCOUNT: accountEnvFields.RATE_LIMIT_WRONG_PASSWORDS_PER_ACCOUNT,
  /** Erasures of accounts an hour from one address. */
  RATE_LIMIT_ERASE_PER_IP: limit.default(20),
  /** Exports of an account's data an hour. */
  RATE_LIMIT_EXPORT_PER_USER: limit.default(5),
  /** Requests for a reset of the password, and resets, an hour from one address. */
  RATE_LIMIT_PASSWORD_RESET_PER_IP: limit.default(30),
  /** Requests to change the e-mail address an hour of one user: each sends a message to an address that it names. */
  RATE_LIMIT_EMAIL_CHANGE_PER_USER: limit.default(10),
})

export type Env = z.infer<typeof schema>

/** @throws ConfigError that lists all problems and shows no values. */
export function readEnv(source: NodeJS.ProcessEnv): Env {
  return parseEnv(schema, source)
}

/** Every variable that the API reads. .env.example documents each. */
export const API_VARIABLES: readonly string[] = Object.keys(schema.shape)
