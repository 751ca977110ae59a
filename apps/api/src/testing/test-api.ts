import { createServiceKey } from '@tidings/db/service-keys'
import { createLifecycle } from '@tidings/shared/lifecycle'
import { createLogger } from '@tidings/shared/log'
import { SCOPES, type Scope } from '@tidings/shared/service-key'
import { generateSigningKey } from '@tidings/shared/signing-keys'
import type { Releaser } from '@tidings/stack/releaser'
import { createTestBackend, createTestDatabase, type TestDatabase } from '@tidings/stack/test-context'
import { waitFor } from '@tidings/stack/wait-for'
import { readEnv } from '../env.ts'
import { startApi } from '../start-api.ts'

/** The whole API on a port of its own, with its own database and queue. */
export interface TestApi extends TestDatabase {
  /** Such as http://127.0.0.1:40123. */
  apiUrl: string
  port: number
  /** A new service key with these scopes; all of them when none is named. */
  createKey(...scopes: Scope[]): Promise<string>
}

/**
 * Starts the API as its main.ts does, on BullMQ's PostgreSQL backend, which every machine has.
 *
 * @param variables environment beside the database, the queue and the port.
 */
export async function startTestApi(
  releaser: Releaser,
  variables: Readonly<Record<string, string>> = {},
): Promise<TestApi> {
  const database = await createTestDatabase(releaser)
  await createTestBackend('postgres', releaser, database)
  const env = readEnv({
    DATABASE_URL: database.url,
    QUEUE_BACKEND: 'postgres',
    PORT: '0',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'silent',
    PASSWORD_ITERATIONS: '1000',
    JWT_KEYS: JSON.stringify({ keys: [generateSigningKey()] }),
    ...variables,
  })
  const log = createLogger('api-test', env.LOG_LEVEL)
  const lifecycle = createLifecycle(log)
  releaser.onRelease(() => lifecycle.release())
  const { url } = await startApi(env, log, lifecycle)
  await waitFor('the API to be ready', async () => (await fetch(`${url}/health/ready`)).ok)
  let keys = 0
  return {
    ...database,
    apiUrl: url,
    port: Number(new URL(url).port),
    async createKey(...scopes) {
      const granted = scopes.length === 0 ? SCOPES : scopes
      const made = await createServiceKey(database.database, `test-${keys++}`, granted)
      if (made.outcome !== 'created') throw new Error('No service key was made')
      return made.key
    },
  }
}
