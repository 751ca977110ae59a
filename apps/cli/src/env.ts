import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { accountEnvFields } from '@tidings/accounts/env-fields'
import {
  ConfigError,
  envFields,
  flag,
  hookEnvFields,
  httpUrl,
  parseEnv,
  presentVariables,
} from '@tidings/runtime/env'
import { readEnvFile } from '@tidings/runtime/env-file'
import { z } from 'zod'

const schema = z.object({
  DATABASE_URL: envFields.DATABASE_URL,
  DATABASE_URL_FILE: envFields.DATABASE_URL_FILE,
  DATABASE_DIRECT_URL: envFields.DATABASE_DIRECT_URL,
  DATABASE_DIRECT_URL_FILE: envFields.DATABASE_DIRECT_URL_FILE,
  REDIS_URL: envFields.REDIS_URL,
  REDIS_URL_FILE: envFields.REDIS_URL_FILE,
  REDIS_CA_FILE: envFields.REDIS_CA_FILE,
  REDIS_CERT_FILE: envFields.REDIS_CERT_FILE,
  REDIS_KEY_FILE: envFields.REDIS_KEY_FILE,
  QUEUE_BACKEND: envFields.QUEUE_BACKEND,
  QUEUE_PREFIX: envFields.QUEUE_PREFIX,
  QUEUE_SHARDS: envFields.QUEUE_SHARDS,
  ACK_REPLICAS: envFields.ACK_REPLICAS,
  RECIPIENT_KEY: envFields.RECIPIENT_KEY,
  RECIPIENT_KEY_FILE: envFields.RECIPIENT_KEY_FILE,
  ...hookEnvFields,
  /** Where `doctor --probe` reports its event, and where the URLs of hooks begin. */
  API_URL: httpUrl('http://localhost:8001').optional(),
  /** Where links to users lead. Without it they lead to API_URL. */
  APP_URL: httpUrl('https://app.example.com').optional(),
  /** For `users set-password` and `users show`: as for the API. */
  ...accountEnvFields,
  /** The actor in the audit table. The default is the login name. */
  TIDINGS_OPERATOR: z.string().max(255).optional(),
})
export type CliEnv = z.infer<typeof schema>

const readOnlySchema = z.object({
  /** As --read-only, for a whole shell. */
  TIDINGS_READ_ONLY: flag(false),
})

/** @throws ConfigError */
export const isReadOnly = (source: NodeJS.ProcessEnv) => parseEnv(readOnlySchema, source).TIDINGS_READ_ONLY

const keySchema = z.object({ JWT_KEYS: z.string().optional(), JWT_KEYS_FILE: z.string().optional() })
export type KeyEnv = z.infer<typeof keySchema>

/** Where the signing keys are: as the environment says, otherwise in the file that `npm start` made. */
export function readKeyEnv(source: NodeJS.ProcessEnv): KeyEnv {
  const given = parseEnv(keySchema, source)
  if (given.JWT_KEYS !== undefined || given.JWT_KEYS_FILE !== undefined) return given
  const file = join(dataFolder(source), 'jwt-keys.json')
  return existsSync(file) ? { JWT_KEYS_FILE: file } : {}
}

const dataFolder = (source: NodeJS.ProcessEnv) => presentVariables(source).DATA_DIR ?? '.data'

const DEV_ENV_VARIABLES = [
  'DATABASE_URL',
  'DATABASE_DIRECT_URL',
  'REDIS_URL',
  'QUEUE_BACKEND',
  'QUEUE_PREFIX',
  'QUEUE_SHARDS',
  'RECIPIENT_KEY',
  'HOOK_SECRETS_KEY',
  'API_URL',
  'APP_URL',
]

/**
 * The environment, completed from $DATA_DIR/dev.env, which `npm start` writes. An environment that names a database
 * is not completed: its Redis must not come from another system's file.
 *
 * @throws ConfigError
 */
export function readCliEnv(source: NodeJS.ProcessEnv): CliEnv {
  const given = presentVariables(source)
  if (given.DATABASE_URL !== undefined) return parseEnv(schema, given)
  const path = resolve(dataFolder(source), 'dev.env')
  const file = readEnvFile(path)
  const stores = Object.fromEntries(DEV_ENV_VARIABLES.map((name) => [name, given[name] ?? file[name]]))
  try {
    return parseEnv(schema, { ...given, ...stores })
  } catch (error) {
    if (!(error instanceof ConfigError) || existsSync(path)) throw error
    const advice = 'npm start writes it; elsewhere set DATABASE_URL and REDIS_URL, or DATA_DIR'
    throw new ConfigError([...error.problems, `no ${path}: ${advice}`])
  }
}

/**
 * The folder that the operator works in. `npm run tidings` changes to the folder of package.json and sets INIT_CWD to
 * the one it was called in. Another npm script may have changed its folder since, so its INIT_CWD is ignored.
 */
export const readCallersFolder = (source: NodeJS.ProcessEnv) =>
  (source.npm_lifecycle_event === 'tidings' && source.INIT_CWD) || process.cwd()

/** Any value of NO_COLOR but an empty one turns colours off: https://no-color.org */
export function wantsColors(source: NodeJS.ProcessEnv, argv: readonly string[]): boolean {
  return !source.NO_COLOR && source.TERM !== 'dumb' && !argv.includes('--no-color')
}

/** Every variable that the CLI reads. .env.example documents each. */
export const CLI_VARIABLES: readonly string[] = [schema, readOnlySchema, keySchema].flatMap(({ shape }) =>
  Object.keys(shape),
)
