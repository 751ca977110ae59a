import { setFlagsFromString } from 'node:v8'
import { z } from 'zod'
import { LOG_LEVELS } from './log-level.ts'

/** The process cannot start, and the message alone says what to do about it. */
export class StartupError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'StartupError'
  }
}

/** The environment did not parse: every problem, by variable, without any value. */
export class ConfigError extends StartupError {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(`Configuration is not usable:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/**
 * Parses an environment; an empty variable counts as absent.
 *
 * @throws ConfigError listing all problems at once.
 */
export function parseEnv<Schema extends z.ZodType>(
  schema: Schema,
  source: NodeJS.ProcessEnv,
): z.infer<Schema> {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''))
  // The messages name the expectation; `input` is never printed.
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  throw new ConfigError(
    parsed.error.issues.map((issue) => `${issue.path.join('.') || 'environment'}: ${issue.message}`),
  )
}

/**
 * V8 makes what most often outlives a collection straight among the old objects, as what a request leaves while it
 * waits for the queue. From there, dead, it keeps all that it refers to from being collected. With 128 connections
 * a collection then kept three times as much, and the API needed 1.4 times the processor time: decision 7.
 */
const KEEP_NEW_OBJECTS_YOUNG = '--no-allocation-site-pretenuring'

/** Runs an app's main function; what it throws ends the process with 1, a StartupError without a stack. */
export async function runMain(main: () => Promise<void>): Promise<void> {
  setFlagsFromString(KEEP_NEW_OBJECTS_YOUNG)
  try {
    await main()
  } catch (error) {
    const text =
      error instanceof StartupError ? error.message : error instanceof Error ? error.stack : String(error)
    process.stderr.write(`${text}\n`)
    process.exit(1)
  }
}

const url = (protocols: RegExp, example: string) =>
  z.url({ protocol: protocols, hostname: /.*/, error: `needs a URL like ${example}` })

/** A variable with a whole number; what else is given is answered with what it should be. */
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

/** More parts than a Redis gains from: each has a worker's connections. */
export const MAX_QUEUE_SHARDS = 64

/** Variables that more than one app reads. Each is documented in .env.example. */
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
  /** Base URL of an OTLP/HTTP collector; absent, nothing is traced. */
  OTEL_EXPORTER_OTLP_ENDPOINT: url(/^https?$/, 'http://localhost:4318').optional(),
  /** Share of the traces begun here that are kept. */
  OTEL_TRACES_SAMPLER_ARG: share.default(1),
}
