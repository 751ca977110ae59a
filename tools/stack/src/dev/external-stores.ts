import { StartupError } from '@tidings/runtime/env'
import pg from 'pg'
import { pingRedis } from '../servers/redis.ts'

/** A store on another machine answers within this, each time that it is spoken to. In milliseconds. */
const ANSWER_LIMIT_MS = 2_000

/** @throws StartupError in one line when the database does not let us in. */
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

/** @throws StartupError in one line when Redis does not let us in. */
export function assertRedisAnswers(url: string): Promise<void> {
  return assertAnswers('The Redis of REDIS_URL', url, () => pingRedis(url, ANSWER_LIMIT_MS))
}

/** Whether two URLs lead to one store, whoever asks there. */
export const isSameStore = (one: string, other: string): boolean => storeOf(one) === storeOf(other)

function storeOf(url: string): string {
  if (!URL.canParse(url)) return url
  const { host, pathname } = new URL(url)
  return host + pathname
}

/** The apps wait for a store that is away, for ever; a person at a terminal would rather know. */
async function assertAnswers(what: string, url: string, ping: () => Promise<void>): Promise<void> {
  try {
    await ping()
  } catch (error) {
    const { host } = new URL(url)
    throw new StartupError(
      `${what}${host && ` at ${host}`} cannot be used (${reasonOf(error)}). Start it, or set the variable to another, or to none.`,
    )
  }
}

/** A host with several addresses gives an error for each, in one without a message. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message || ('code' in error ? String(error.code) : error.name)
}
