import { z } from 'zod'
import { LOG_LEVELS } from './log-level.ts'

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
 * Parses an environment. An empty variable counts as absent.
 *
 * @throws ConfigError listing all problems at once.
 */
export function parseEnv<Schema extends z.ZodType>(
  schema: Schema,
  source: NodeJS.ProcessEnv,
): z.infer<Schema> {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''))
  // The messages name the expected value only: a variable may hold a secret.
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  throw new ConfigError(
    parsed.error.issues.map((issue) => `${issue.path.join('.') || 'environment'}: ${issue.message}`),
  )
}

const url = (protocols: RegExp, example: string) =>
  z.url({ protocol: protocols, hostname: /.*/, error: `needs a URL like ${example}` })

/** A variable that holds a whole number from `min` to `max`. The error names the range. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER) {
  const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`
  const error = `must be a whole number ${range}`
  return z.coerce
    .number({ error })
    .refine((number) => Number.isSafeInteger(number) && number >= min && number <= max, { error })
}

const share = z.coerce
  .number({ error: 'must be a number from 0 to 1' })
  .refine((number) => number >= 0 && number <= 1, { error: 'must be a number from 0 to 1' })

/** Most shards. Every worker holds connections for each shard. */
export const MAX_QUEUE_SHARDS = 64

/** Variables that several apps read. .env.example documents each. */
export const envFields = {
  DATABASE_URL: url(/^postgres(ql)?$/, 'postgres://user:password@localhost:5432/tidings'),
  REDIS_URL: url(/^rediss?$/, 'redis://localhost:6379').optional(),
  QUEUE_BACKEND: z.enum(['redis', 'postgres']).optional(),
  QUEUE_PREFIX: z
    .string()
    .regex(/^[\w{}-]+$/, 'may hold letters, digits, _ - { }')
    .default('tidings'),
  QUEUE_SHARDS: wholeNumber(1, MAX_QUEUE_SHARDS).default(1),
  LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
  STRICT_DURABILITY: z.stringbool().default(false),
  /** Base URL of an OTLP/HTTP collector. Without it nothing is traced. */
  OTEL_EXPORTER_OTLP_ENDPOINT: url(/^https?$/, 'http://localhost:4318').optional(),
  /** Share of traces to keep, 0 to 1. Applies to traces that begin in this process. */
  OTEL_TRACES_SAMPLER_ARG: share.default(1),
}
