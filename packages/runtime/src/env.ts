import { readFileSync } from 'node:fs'
import { DEFAULT_RECIPIENT_KEY } from '@tidings/shared/recipient'
import { z } from 'zod'
import { LOG_LEVELS } from './log-level.ts'
import { parseRedisUrl, RedisUrlError } from './redis-url.ts'
import { readVariablesInFiles } from './variables-in-files.ts'

/** The process cannot start. The message alone tells an operator what to do. */
export class StartupError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'StartupError'
  }
}

/** The environment is invalid. Lists every problem by variable and never shows a value. */
export class ConfigError extends StartupError {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(`Configuration is not usable:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/**
 * The variables that hold something, with the secrets that are in files. A variable that is empty or holds white space
 * only counts as absent.
 *
 * @throws ConfigError when a file cannot be used.
 */
export function presentVariables(source: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const present = Object.fromEntries(
    Object.entries(source).filter(([, value]) => value !== undefined && value.trim() !== ''),
  )
  const { variables, problems } = readVariablesInFiles(present)
  if (problems.length > 0) throw new ConfigError(problems)
  return variables
}

/**
 * Parses an environment. A blank variable counts as absent.
 *
 * @throws ConfigError listing all problems at once.
 */
export function parseEnv<Schema extends z.ZodType>(
  schema: Schema,
  source: NodeJS.ProcessEnv,
): z.infer<Schema> {
  // The messages name the expected value only: a variable may hold a secret.
  const parsed = schema.safeParse(presentVariables(source))
  if (parsed.success) return parsed.data
  throw new ConfigError(
    parsed.error.issues.map((issue) => `${issue.path.join('.') || 'environment'}: ${issue.message}`),
  )
}

function findFileProblem(path: string): string | undefined {
  try {
    readFileSync(path)
    return undefined
  } catch (error) {
    return `cannot read the file (${error instanceof Error && 'code' in error ? error.code : error})`
  }
}

/** A variable that holds a URL. Its user, password and path must decode: the drivers decode them. */
function url(protocols: RegExp, example: string) {
  return z
    .url({ protocol: protocols, hostname: /.*/, error: `needs a URL like ${example}`, abort: true })
    .refine(isDecodable, 'holds a % that begins no code: write % as %25')
}

/** Parameters of a URL of PostgreSQL that name files: the CA of the server, and the certificate and key of the client. */
const TLS_FILES = ['sslrootcert', 'sslcert', 'sslkey']

/** A variable that holds the URL of a PostgreSQL. The driver reads its files when it connects: they must be there. */
const postgresUrl = url(/^postgres(ql)?$/, 'postgres://user:password@localhost:5432/tidings').superRefine(
  (text, context) => {
    const parameters = new URL(text).searchParams
    for (const name of TLS_FILES) {
      const path = parameters.get(name)
      const problem = path === null ? undefined : findFileProblem(path)
      if (problem !== undefined) context.addIssue(`names a file as ${name}: ${problem}`)
    }
  },
)

/** A variable that holds the base URL of an HTTP server. */
export const httpUrl = (example: string) => url(/^https?$/, example)

/** A variable that holds the URL of Redis, of its Sentinels or of a cluster. */
const redisUrl = z.string().superRefine((text, context) => {
  try {
    parseRedisUrl(text)
  } catch (error) {
    if (!(error instanceof RedisUrlError)) throw error
    context.addIssue(error.message)
  }
})

/** A variable that names a file. Its value is the text of the file. */
const fileContent = z.string().transform((path, context) => {
  const text = readText(path)
  if (typeof text === 'string') return text
  context.addIssue(text.problem)
  return z.NEVER
})

function readText(path: string): string | { problem: string } {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    return {
      problem: `cannot read the file (${error instanceof Error && 'code' in error ? error.code : error})`,
    }
  }
}

function isDecodable(text: string): boolean {
  const { username, password, pathname } = new URL(text)
  try {
    for (const part of [username, password, pathname]) decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

/** A variable that holds a whole number from `min` to `max`, in decimal digits. The error names the range. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER) {
  const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`
  return decimal(/^\d+$/, min, max, `must be a whole number ${range}`)
}

const UNIT_DAYS = { d: 1, w: 7 } as const

/** A variable that holds a number of days: `35`, `35d` or `5w`. */
export function days(min: number, max: number) {
  const error = `must be a number of days from ${min} to ${max}, such as ${min}d`
  return z
    .string({ error })
    .trim()
    .regex(/^\d{1,6}[dw]?$/, { error, abort: true })
    .transform((text) => Number.parseInt(text, 10) * (text.endsWith('w') ? UNIT_DAYS.w : UNIT_DAYS.d))
    .refine((number) => number >= min && number <= max, { error })
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/**
 * A variable that holds a duration: `90` or `90s`, `30m`, `1h`, `2d`. In milliseconds once read.
 *
 * @param min such a duration, and so is `max`.
 */
export function duration(min: string, max: string) {
  const error = `must be a duration from ${min} to ${max}, such as 1h`
  return z
    .string({ error })
    .trim()
    .regex(/^\d{1,9}[smhd]?$/, { error, abort: true })
    .transform(toMs)
    .refine((ms) => ms >= toMs(min) && ms <= toMs(max), { error })
}

function toMs(text: string): number {
  const unit = text.replace(/\d+/, '') || 's'
  return Number.parseInt(text, 10) * UNIT_MS[unit as keyof typeof UNIT_MS]
}

// Not z.coerce: Number() reads blanks as 0, and 0x1f as 31.
const decimal = (digits: RegExp, min: number, max: number, error: string) =>
  z
    .string({ error })
    .trim()
    .regex(digits, { error, abort: true })
    .transform(Number)
    .refine((number) => number >= min && number <= max, { error })

/** A variable that turns something on or off. */
export const flag = (byDefault: boolean) =>
  z.stringbool({ error: 'must be true or false' }).default(byDefault)

/** The key that encrypts the secrets of hooks: the same for the API and the command line, and never changed. */
export const hookEnvFields = {
  HOOK_SECRETS_KEY: z
    .string()
    .min(32, 'needs at least 32 characters: make one with openssl rand -base64 32')
    .optional(),
  /** Path of a file. parseEnv puts its text into the variable without `_FILE`. */
  HOOK_SECRETS_KEY_FILE: z.string().optional(),
}

/** Most shards. Every worker holds connections for each shard. */
export const MAX_QUEUE_SHARDS = 64

/** For reads that may be a few seconds behind. */
export const replicaEnvFields = {
  DATABASE_READ_URL: postgresUrl.optional(),
  DATABASE_READ_URL_FILE: z.string().optional(),
}

/** Variables that several apps read. .env.example documents each. */
export const envFields = {
  DATABASE_URL: postgresUrl,
  /** The same database past a pooler, for what needs a connection of its own. Default: DATABASE_URL. */
  DATABASE_DIRECT_URL: postgresUrl.optional(),
  /** Paths of files. parseEnv puts their text into the variables without `_FILE`. */
  DATABASE_URL_FILE: z.string().optional(),
  DATABASE_DIRECT_URL_FILE: z.string().optional(),
  REDIS_URL_FILE: z.string().optional(),
  RECIPIENT_KEY_FILE: z.string().optional(),
  REDIS_URL: redisUrl.optional(),
  /** For TLS to Redis. Each names a PEM file; the value is what the file holds. */
  REDIS_CA_FILE: fileContent.optional(),
  REDIS_CERT_FILE: fileContent.optional(),
  REDIS_KEY_FILE: fileContent.optional(),
  QUEUE_BACKEND: z.enum(['redis', 'postgres']).optional(),
  QUEUE_PREFIX: z
    .string()
    .regex(/^[\w{}-]+$/, 'may hold letters, digits, _ - { }')
    .default('tidings'),
  QUEUE_SHARDS: wholeNumber(1, MAX_QUEUE_SHARDS).default(1),
  /** Replicas of Redis that must have an event before the 202, and a dead letter before its job ends. */
  ACK_REPLICAS: wholeNumber(0, 8).default(0),
  /** Key of the digests of recipients. The same for every process, and never changed. */
  RECIPIENT_KEY: z.string().min(16, 'needs at least 16 characters').default(DEFAULT_RECIPIENT_KEY),
  LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
  STRICT_DURABILITY: flag(false),
  /** Base URL of an OTLP/HTTP collector. Without it nothing is traced. */
  OTEL_EXPORTER_OTLP_ENDPOINT: httpUrl('http://localhost:4318').optional(),
  /** Share of traces to keep, 0 to 1. Applies to traces that begin in this process. */
  OTEL_TRACES_SAMPLER_ARG: decimal(/^\d*\.?\d+(e-?\d+)?$/i, 0, 1, 'must be a number from 0 to 1').default(1),
}
