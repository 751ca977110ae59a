import { StartupError } from '@tidings/runtime/env'
import { parseRedisUrl } from '@tidings/runtime/redis-url'
import pg from 'pg'
import { pingRedis } from '../servers/redis.ts'

/** How long a store on another machine may take for one answer. */
const ANSWER_LIMIT_MS = 2_000

/** @throws StartupError of one line when the database refuses the connection. */
export function assertDatabaseAnswers(url: string): Promise<void> {
  return assertAnswers('The PostgreSQL of DATABASE_URL', url, async () => {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: ANSWER_LIMIT_MS })
    client.on('error', () => {})
    try {
      await client.connect()
    } finally {
      await client.end()
    }
  })
}

/** @throws StartupError of one line when Redis refuses the connection. Of Sentinels and clusters, the apps report it. */
export async function assertRedisAnswers(url: string): Promise<void> {
  if (parseRedisUrl(url).topology !== 'single') return
  return assertAnswers('The Redis of REDIS_URL', url, () => pingRedis(url, ANSWER_LIMIT_MS))
}

/** The apps wait for an absent store forever. A person at a terminal wants to hear of it instead. */
async function assertAnswers(store: string, url: string, ping: () => Promise<void>): Promise<void> {
  try {
    await ping()
  } catch (error) {
    const { host } = new URL(url)
    throw new StartupError(
      `${store}${host && ` at ${host}`} cannot be used (${describeError(error)}). Start it, set the variable to another URL, or unset it.`,
    )
  }
}

/** A host with several addresses gives one error without a message, which wraps one error for each address. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message || ('code' in error ? String(error.code) : error.name)
}
